// The panel beside the phones: what goes wrong, what came of it, and the state of the played Meta.

import { control } from "./api.js";
import { el, icon, sync } from "./dom.js";
import { faultForm, describe } from "./faults.js";
import { verdictView } from "./verdict.js";
import { metaView } from "./meta.js";

const TABS = [["faults", "Faults"], ["verdict", "Verdict"], ["meta", "Meta"]];
const EVERY = 1000;

export class Panel {
  constructor(node, accounts, phones, complain) {
    Object.assign(this, { node, accounts, phones, complain });
    this.tab = "faults";
    this.tabs = el("div.switch", { role: "tablist" }, TABS.map(([id, label]) =>
      el("button", { type: "button", role: "tab", id: `tab-${id}`, onclick: () => this.show(id) }, label)));
    this.body = el("div.content", { role: "tabpanel" });
    node.append(el("div.top", {}, this.tabs, el("button.x", { type: "button", "aria-label": "Close the panel", onclick: () => this.toggle(false) }, icon("close"))), this.body);
    node.addEventListener("keydown", (e) => { if (e.key === "Escape") this.toggle(false); });
  }

  toggle(open = this.node.hidden) {
    this.node.hidden = !open;
    const button = document.getElementById("open-panel");
    button.setAttribute("aria-expanded", String(open));
    clearInterval(this.timer);
    if (!open) return button.focus();
    this.timer = setInterval(() => this.refresh(), EVERY);
    this.draw();
  }

  show(tab) {
    this.tab = tab;
    if (this.node.hidden) this.toggle(true);
    else this.draw();
  }

  /** run does something and shows what has become of it. */
  async run(...args) {
    try {
      await control(...args);
    } catch (error) {
      this.complain(error);
    }
    return this.refresh();
  }

  draw() {
    for (const [id] of TABS) this.tabs.querySelector(`#tab-${id}`).setAttribute("aria-selected", String(id === this.tab));
    this.live = el("div.live");
    this.drawn = "";
    this.body.replaceChildren();
    if (this.tab === "faults") this.body.append(this.live, faultForm(this));
    else this.body.append(this.live);
    this.refresh();
  }

  async refresh() {
    const tab = this.tab, live = this.live;
    try {
      const state = await this.fetch(tab);
      const signature = JSON.stringify(state);
      // What has not changed is left alone, so that nobody loses what they hold or read.
      if (live !== this.live || signature === this.drawn) return;
      this.drawn = signature;
      sync(live, [].concat(this.view(tab, state)));
    } catch (error) {
      if (live === this.live) sync(live, [el("p.empty", {}, error.message)]);
    }
  }

  async fetch(tab) {
    if (tab === "faults") return control("GET", "fault");
    if (tab === "verdict") return control("GET", "verdict?by=account");
    const [time, { accounts }] = await Promise.all([control("GET", "clock"), control("GET", "accounts")]);
    return { ahead: time.ahead, accounts };
  }

  view(tab, state) {
    if (tab === "verdict") return verdictView(state, this);
    if (tab === "meta") return metaView(state, this);
    if (!state.faults.length) return el("p.empty", {}, "Nothing goes wrong. Choose below what shall.");
    return [
      el("ul.faults", {}, state.faults.map((f) => el("li", {}, el("div", {}, el("b", {}, describe(f).title), el("small", {}, describe(f).scope(this))),
        el("span.met", { title: "how often it was met" }, `${f.met}×`),
        el("button.x", { type: "button", "aria-label": `End: ${describe(f).title}`, onclick: () => this.run("DELETE", `fault/${f.id}`) }, icon("close"))))),
      el("button.secondary.wide", { type: "button", onclick: () => this.run("DELETE", "fault") }, "Make everything go right again"),
    ];
  }
}
