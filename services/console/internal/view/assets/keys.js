// The keyboard: j and k move through [data-row] elements, Enter opens the one that has the focus (they hold a link), / goes
// to [data-search], r to [data-reply], t presses [data-takeover], g and a letter follow [data-go], ? helps.
const press = (selector) => {
  const element = document.querySelector(selector);
  if (!element) return false;
  if (element.matches("input, textarea, select")) element.focus();
  else element.click();
  return true;
};

const move = (by) => {
  const rows = [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
  if (rows.length === 0) return false;
  const at = rows.findIndex((row) => row.contains(document.activeElement) || row.getAttribute("aria-current") === "true");
  const row = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
  (row.matches("a, button") ? row : row.querySelector("a, button"))?.focus();
  row.scrollIntoView({block: "nearest"});
  return true;
};

export const keys = () => {
  let go = 0; // until when a letter follows g
  document.addEventListener("keydown", (e) => {
    const typing = e.target.closest("input, textarea, select, [contenteditable]");
    if (e.key === "Escape" && typing) return typing.blur();
    if (typing || e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]")) return;
    let done = false;
    if (e.timeStamp < go) {
      go = 0;
      done = /^[a-z]$/.test(e.key) && press(`[data-go="${e.key}"]`);
    } else if (e.key === "g") {
      go = e.timeStamp + 1500;
      done = true;
    } else if (e.key === "j" || e.key === "k") {
      done = move(e.key === "j" ? 1 : -1);
    } else if (e.key === "/") {
      done = press("[data-search]");
    } else if (e.key === "r") {
      done = press("[data-reply]");
    } else if (e.key === "t") {
      done = press("[data-takeover]");
    } else if (e.key === "?") {
      document.getElementById("keys").showModal();
      done = true;
    }
    if (done) e.preventDefault();
  });
};
