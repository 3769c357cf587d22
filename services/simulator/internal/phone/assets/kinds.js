// Every kind of item that Meta sends, to choose from.

import { el, icon } from "./dom.js";

const FIELDS = {
  text: ["Text", "price?"],
  payload: ["Payload", "PAYLOAD"],
  url: ["URL of the medium", "https://…"],
};

/** everything is a dialog with all kinds; newest gives the message that a change is done to. */
export function everything(kinds, send, newest) {
  const dialog = el("dialog.kinds", { "aria-label": "Everything that Meta sends" });
  const fields = el("div.fields");
  const name = el("b");
  const form = el("form", { hidden: true, method: "dialog", onsubmit: () => submit() }, name, fields,
    el("div.row2", {}, el("button.secondary", { type: "button", onclick: () => choose(null) }, "Back"), el("button.primary", {}, "Send")));
  const groups = el("div.groups", {}, [...new Set(kinds.map((k) => k.group))].map((group) => el("section", {}, el("h3", {}, group),
    el("div.chips", {}, kinds.filter((k) => k.group === group).map((k) =>
      el("button.chip", { type: "button", title: k.kind, onclick: () => pick(k) }, k.label))))));
  let chosen = null;

  function pick(kind) {
    const asks = [...(kind.needs ?? []), ...(kind.takes ?? [])].filter((f) => FIELDS[f]);
    if (!asks.length) return go({ kind: kind.kind }, kind);
    choose(kind);
    fields.replaceChildren(...asks.map((f) => el("label", {}, FIELDS[f][0],
      el("input", { name: f, type: "text", dir: "auto", maxlength: "20000", required: (kind.needs ?? []).includes(f), placeholder: FIELDS[f][1], autocomplete: "off" }))));
    fields.querySelector("input").focus();
  }

  function choose(kind) {
    chosen = kind;
    form.hidden = !kind;
    groups.hidden = Boolean(kind);
    name.textContent = kind?.label ?? "";
  }

  function submit() {
    const action = { kind: chosen.kind };
    for (const input of fields.querySelectorAll("input")) if (input.value) action[input.name] = input.value;
    go(action, chosen);
  }

  function go(action, kind) {
    // What is done to a message is done to the newest one, as far as the kind allows it.
    if (kind.needs?.includes("target")) action.target = newest()?.mid ?? "";
    choose(null);
    dialog.close();
    send(action);
  }

  dialog.append(el("div.top", {}, el("h2", {}, "Everything that Meta sends"),
    el("button", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"))), groups, form);
  dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });
  return dialog;
}
