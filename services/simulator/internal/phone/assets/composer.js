// The field at the bottom of a phone.

import { el, icon } from "./dom.js";

import { everything } from "./kinds.js";

const KINDS = [
  ["image", "image", "Photo"], ["video", "video", "Video"], ["audio", "mic", "Voice"], ["ig_post", "share", "Post"],
  ["story_mention", "story", "Story mention"], ["story_reply", "reply", "Story reply"], ["like_heart", "heart", "Heart"], ["unsupported", "unknown", "Unsupported"],
];

export class Composer {
  constructor(send, kinds, newest) {
    this.deliver = send;
    this.mode = null;
    this.input = el("textarea", { rows: "1", placeholder: "Message…", "aria-label": "Message", dir: "auto", maxlength: "20000", autocomplete: "off",
      oninput: () => this.adapt(), onkeydown: (event) => this.key(event) });
    this.sendButton = el("button.send", { type: "submit", hidden: true }, "Send");
    this.quick = el("button.quick", { type: "button", "aria-label": "Send a heart", onclick: () => this.deliver({ kind: "like_heart" }) }, icon("heart"));
    this.more = el("button.more", { type: "button", "aria-label": "Send something else", "aria-expanded": "false", onclick: () => this.toggle() }, icon("plus"));
    this.sheet = el("div.sheet", { hidden: true, role: "menu" }, KINDS.map(([kind, symbol, label]) =>
      el("button", { type: "button", role: "menuitem", onclick: () => this.kind(kind) }, icon(symbol), label)),
      el("button.all", { type: "button", role: "menuitem", onclick: () => { this.toggle(false); this.all.showModal(); } }, "Everything that Meta sends…"));
    this.all = everything(kinds, (action) => this.deliver(action), newest);
    this.context = el("div.context", { hidden: true });
    this.node = el("form.composer", { onsubmit: (event) => { event.preventDefault(); this.submit(); } },
      this.sheet, this.context, this.all, el("div.field", {}, this.more, this.input, this.quick, this.sendButton));
    document.addEventListener("click", (event) => { if (!this.node.contains(event.target)) this.toggle(false); });
  }

  focus() { this.input.focus({ preventScroll: true }); }

  toggle(open = this.sheet.hidden) {
    this.sheet.hidden = !open;
    this.more.setAttribute("aria-expanded", String(open));
  }

  kind(kind) {
    this.toggle(false);
    if (kind === "story_reply") return this.setMode({ kind, label: "Replying to their story" });
    this.deliver({ kind });
  }

  quote(m) { this.setMode({ reply_to: m.mid, label: `Replying to: ${m.text || "attachment"}` }); }

  edit(m) {
    this.setMode({ kind: "edit", target: m.mid, label: "Editing your message" });
    this.input.value = m.text;
    this.adapt();
  }

  setMode(mode) {
    this.mode = mode;
    this.context.hidden = !mode;
    this.context.replaceChildren();
    if (mode) {
      this.context.append(el("span", { dir: "auto" }, mode.label),
        el("button", { type: "button", "aria-label": "Never mind", onclick: () => this.setMode(null) }, icon("close")));
    }
    this.focus();
  }

  key(event) {
    // Enter ends a word in input methods for Chinese and Japanese; it sends only outside of them.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.submit();
    }
    if (event.key === "Escape") { this.toggle(false); if (this.mode) this.setMode(null); }
  }

  adapt() {
    const empty = this.input.value.trim() === "";
    this.sendButton.hidden = empty;
    this.quick.hidden = !empty;
    if (!CSS.supports("field-sizing", "content")) {
      this.input.style.height = "auto";
      this.input.style.height = `${this.input.scrollHeight}px`;
    }
  }

  submit() {
    const text = this.input.value.trim();
    if (text === "") return;
    const { label, ...mode } = this.mode ?? {};
    this.deliver({ text, ...mode });
    this.input.value = "";
    this.adapt();
    if (this.mode) this.setMode(null);
  }

  /** giveBack puts a text that could not be sent into the field again, if nothing else is in it. */
  giveBack(text) {
    if (this.input.value !== "") return;
    this.input.value = text;
    this.adapt();
  }
}
