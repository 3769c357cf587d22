// What is more than a text: pictures, video, voice, files, posts, templates, quick replies.

import { el, icon, webURL } from "./dom.js";

/** rich draws the message object of a reply as the Send API got it. */
export function rich(m, open, phone) {
  const { text, attachment, attachments } = m.content;
  if (text) return el("button.bubble", open, text);
  if (attachments) return several(attachments.map((a) => media(a, open)));
  if (attachment?.type === "template") return template(attachment.payload, phone);
  if (attachment) return media(attachment, open);
  return el("button.bubble.mono", open, "Something this phone cannot show");
}

export const several = (nodes) => nodes.length === 1 ? nodes[0] : el("div.cards", {}, nodes);

/** media draws one attachment. Where its URL leads nowhere a drawing stands for it. */
export function media({ type, payload }, open, label) {
  const url = loadable(payload?.url);
  switch (type) {
    case "like_heart":
      return el("button.bubble.big", open, "❤️");
    case "image": case "gif": case "sticker": case "media":
      return el("button.card", open, picture(url, "image"));
    case "video":
      return url ? el("div.card", {}, el("video", { src: url, controls: true, preload: "metadata", playsinline: true })) : el("button.card", open, stand("play"));
    case "audio":
      return voice(url, open);
    case "file":
      return file(url, open);
    case "MEDIA_SHARE":
      return el("button.card", open, stand("image"), body("Post", payload?.id));
    default:
      return el("button.card", open, picture(url, "image"), body(label ?? String(type), payload?.title));
  }
}

const body = (title, text) => el("span.body", { dir: "auto" }, el("b", {}, title), text && el("span", {}, text));

/** loadable is a URL worth asking for: the simulator's own stand-ins end in .invalid and never resolve. */
function loadable(text) {
  const url = webURL(text ?? "");
  return url && !new URL(url).hostname.endsWith(".invalid") ? url : null;
}

export const stand = (symbol, extra = "") => el(`span.pic${extra}`, {}, icon(symbol));

function picture(url, symbol) {
  if (!url) return stand(symbol);
  const img = el("img", { src: url, alt: "", loading: "lazy", referrerpolicy: "no-referrer" });
  img.addEventListener("error", () => img.replaceWith(stand(symbol)), { once: true });
  return img;
}

function voice(url, open) {
  const bars = el("span.wave", { "aria-hidden": "true" }, Array.from({ length: 24 }, () => el("i")));
  if (!url) return el("button.bubble.voice", open, icon("play"), bars, "0:07");
  let sound;
  const play = el("button", { type: "button", "aria-label": "Play", onclick: () => {
    sound ??= new Audio(url);
    if (sound.paused) sound.play().catch(() => { bars.textContent = "cannot be played"; });
    else sound.pause();
  } }, icon("play"));
  return el("div.bubble.voice", {}, play, bars);
}

function file(url, open) {
  if (!url) return el("button.bubble.voice", open, icon("file"), "File");
  return el("a.bubble.voice", { href: url, target: "_blank", rel: "noopener noreferrer" }, icon("file"), decoded(new URL(url).pathname.split("/").pop()) || "File");
}

function decoded(s) {
  try { return decodeURIComponent(s); } catch { return s; }
}

function template(payload, phone) {
  if (payload?.template_type === "button") {
    return el("div.card", {}, el("div.body", { dir: "auto" }, payload.text), buttons(payload.buttons, phone));
  }
  return several((payload?.elements ?? []).map((e) => {
    const link = e.default_action ? webURL(e.default_action.url ?? "") : null;
    const inside = [e.image_url && picture(loadable(e.image_url), "image"), el("div.body", { dir: "auto" }, el("b", {}, e.title), e.subtitle && el("span", {}, e.subtitle))];
    return el("div.card", {}, link ? el("a.whole", { href: link, target: "_blank", rel: "noopener noreferrer" }, inside.filter(Boolean)) : inside, buttons(e.buttons, phone));
  }));
}

function buttons(list, phone) {
  if (!list?.length) return null;
  return el("div.buttons", {}, list.map((b) => {
    if (b.type !== "web_url") return el("button", { type: "button", onclick: () => phone.do({ kind: "postback", text: b.title, payload: b.payload }) }, b.title);
    const url = webURL(b.url);
    // What is not a web address is shown and leads nowhere.
    return url ? el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, b.title) : el("span.dead", {}, b.title);
  }));
}

/** quickReplies are the taps that a reply offers until something else is said. */
export function quickReplies(list, phone) {
  return el("div.replies", {}, list.filter((q) => q.content_type === "text").map((q) =>
    el("button.chip", { type: "button", dir: "auto", onclick: () => phone.do({ kind: "quick_reply", text: q.title, payload: q.payload }) }, q.title)));
}
