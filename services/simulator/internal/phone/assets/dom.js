// Building the page. Strings become text nodes and never HTML: what people write cannot become part of the page.

const SVG = "http://www.w3.org/2000/svg";

/** el("p.note", { title: "…" }, "text", child) makes an element; properties that begin with "on" are listeners. */
export function el(name, props = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

/** icon makes one of the page's symbols. */
export function icon(name, className = "") {
  const svg = document.createElementNS(SVG, "svg");
  if (className) svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** face is a person's initials on the colour of their id. */
export function face(name, id, extra = "") {
  let hue = 0;
  for (const c of String(id)) hue = (hue * 31 + c.codePointAt(0)) % 6;
  const initials = name.split(/\s+/).map((w) => [...w][0] ?? "").join("").slice(0, 2).toUpperCase();
  return el(`span.face.hue-${hue}${extra}`, { "aria-hidden": "true" }, initials);
}

/** sync makes the children of a node the given ones, touching only what differs. */
export function sync(parent, nodes) {
  nodes.forEach((node, i) => {
    if (parent.childNodes[i] !== node) parent.insertBefore(node, parent.childNodes[i] ?? null);
  });
  while (parent.childNodes.length > nodes.length) parent.lastChild.remove();
}

/** webURL is a URL that may be linked or loaded, or null. */
export function webURL(text) {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}
