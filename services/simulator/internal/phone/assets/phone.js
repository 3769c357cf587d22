// One customer's phone: the conversation, and the field to write in.

import { act } from "./api.js";
import { el, face, icon, sync } from "./dom.js";
import { moment, timeOf } from "./format.js";
import { event, row, noteFor } from "./message.js";
import { Composer } from "./composer.js";

const GAP = 10 * 60 * 1000; // a silence this long gets a time above what comes after it
const SUGGESTIONS = ["price?", "opening hours", "Do you deliver? 🚲", "بكم السعر؟"];

export class Phone {
  constructor(account, thread, { complain, close, kinds }) {
    this.account = account;
    this.key = { account: thread.account, customer: thread.customer };
    this.name = thread.name;
    this.complain = complain;
    this.messages = new Map();
    this.rows = new Map();
    this.queue = Promise.resolve();
    this.settled = false;

    this.thread = el("ol.thread", { role: "log", "aria-live": "polite", "aria-label": `Conversation of ${thread.name} with ${account.name}` });
    this.intro = el("li.intro", {},
      el("span.ringed", {}, face(account.name, account.id, ".shop")), el("b", { dir: "auto" }, account.name), el("span", {}, `@${account.username} · Instagram`));
    this.teach = el("li.teach", {}, el("p", {}, `Write to ${account.name} as ${thread.name.split(" ")[0]}. For a start, try:`),
      el("div.chips", {}, SUGGESTIONS.map((s) => el("button.chip", { type: "button", dir: "auto", onclick: () => this.do({ text: s }) }, s))));
    this.typingRow = el("li.row.theirs.first.last", { "aria-label": `${account.name} is typing` },
      face(account.name, account.id, ".shop"), el("div.dots", {}, el("i"), el("i"), el("i")));
    this.composer = new Composer((action) => this.do(action), kinds, () => this.newest());
    this.clock = el("time", {}, timeOf(new Date().toISOString()));
    this.node = el("section.customer", { "aria-label": `${thread.name}'s phone` },
      el("div.owner", {}, face(thread.name, thread.customer),
        el("div.who", {}, el("b", { dir: "auto" }, thread.name), el("small", {}, `customer ${thread.customer}`)),
        el("button", { type: "button", "aria-label": `Put ${thread.name}'s phone away`, title: "Put this phone away", onclick: close }, icon("close"))),
      el("div.phone", {}, el("div.screen", {},
        el("div.status", { "aria-hidden": "true" }, this.clock, icon("signal"), icon("battery")),
        el("div.head", {}, icon("back"), el("span.ringed", {}, face(account.name, account.id, ".shop")),
          el("div.title", {}, el("b", { dir: "auto" }, account.name), el("small", {}, account.username)),
          icon("call", "tool"), icon("video", "tool")),
        this.thread, this.composer.node, el("div.home"))));
    // Pictures that come later push the newest message down: who was at the end stays there.
    this.atEnd = true;
    this.thread.addEventListener("scroll", () => { this.atEnd = this.thread.scrollHeight - this.thread.scrollTop - this.thread.clientHeight < 120; }, { passive: true });
    new ResizeObserver(() => { if (this.atEnd) this.thread.scrollTop = this.thread.scrollHeight; }).observe(this.thread);
    this.thread.addEventListener("load", () => { if (this.atEnd) this.thread.scrollTop = this.thread.scrollHeight; }, true);
    this.thread.addEventListener("click", (event) => { if (!event.target.closest("button, a, .tools")) this.openTools(null); });
  }

  focus() { this.composer.focus(); }

  /** load takes over everything that the server knows of the conversation. */
  load(thread) {
    this.messages = new Map(thread.messages.map((m) => [m.mid, m]));
    this.typing = thread.typing;
    this.seenAt = thread.seen_at;
    this.draw();
    this.settled = true;
    this.unplaced = true;
  }

  /** placed shows the newest message once the phone is on the page: before, it has no height to scroll in. */
  placed() {
    if (this.unplaced) this.thread.scrollTop = this.thread.scrollHeight;
    this.unplaced = false;
  }

  update(u) {
    if (u.message) this.messages.set(u.message.mid, { ...this.messages.get(u.message.mid), ...u.message });
    if (u.type === "message" && !u.message.from_customer) this.typing = false;
    if (u.type === "typing") this.typing = Boolean(u.on);
    if (u.type === "seen") this.seenAt = new Date().toISOString();
    this.schedule();
  }

  schedule() {
    if (this.drawing) return;
    this.drawing = true;
    // A hidden tab gets no animation frames, but shall be right when it is looked at.
    const draw = () => { this.drawing = false; this.draw(); };
    if (document.hidden) setTimeout(draw, 0);
    else requestAnimationFrame(draw);
  }

  /** do sends actions one after another, so that they arrive in the order in which they were typed. */
  do(action) {
    this.openTools(null);
    this.queue = this.queue.then(() => act({ ...this.key, ...action })).catch((error) => {
      this.complain(error);
      if (action.text && !action.kind) this.composer.giveBack(action.text);
    });
  }

  openTools(mid) {
    if (this.tools === mid) return;
    this.tools = mid;
    this.schedule();
  }

  /** newest is the message that an action without a target is about. */
  newest() { return [...this.messages.values()].filter((m) => m.kind !== "note").sort((a, b) => (a.at < b.at ? -1 : 1)).pop(); }

  draw() {
    const list = [...this.messages.values()].sort((a, b) => a.at < b.at ? -1 : a.at > b.at ? 1 : 0);
    const stick = this.thread.scrollHeight - this.thread.scrollTop - this.thread.clientHeight < 120;
    const nodes = [this.intro];
    if (!list.length) nodes.push(this.teach);
    const lastMine = list.findLast((m) => m.from_customer)?.mid;
    list.forEach((m, i) => {
      const before = list[i - 1], after = list[i + 1];
      const pause = !before || new Date(m.at) - new Date(before.at) > GAP;
      if (m.kind === "note") {
        nodes.push(this.keep(m.mid, m.text, () => event(m)));
        return;
      }
      if (pause) nodes.push(this.keep(`when ${m.mid}`, m.at, () => el("li.when", {}, moment(m.at))));
      const together = (a, b) => a && b && a.kind !== "note" && b.kind !== "note" && a.from_customer === b.from_customer && new Date(b.at) - new Date(a.at) < GAP;
      const shape = {
        first: !together(before, m), last: !together(m, after), newest: !list.slice(i + 1).some((n) => n.kind !== "note"), open: this.tools === m.mid,
        quoted: m.reply_to ? this.messages.get(m.reply_to) : undefined,
      };
      nodes.push(this.keep(m.mid, JSON.stringify([m, shape]), (old) => row(m, shape, this, this.settled && !old)));
      const note = noteFor(m, m.mid === lastMine, this.seenAt);
      if (note) nodes.push(this.keep(`note ${m.mid}`, JSON.stringify(note), () => el(`li.note${note.bad ? ".bad" : ""}`, { title: note.title }, note.text)));
    });
    if (this.typing) nodes.push(this.typingRow);
    sync(this.thread, nodes);
    const kept = new Set(nodes);
    for (const [key, { node }] of this.rows) if (!kept.has(node)) this.rows.delete(key);
    if (stick || !this.settled || lastMine !== this.lastMine) this.thread.scrollTop = this.thread.scrollHeight;
    this.lastMine = lastMine;
    this.clock.textContent = timeOf(new Date().toISOString());
  }

  /** keep makes a node once and again only when what it shows has changed. */
  keep(key, signature, make) {
    const had = this.rows.get(key);
    if (had?.signature === signature) return had.node;
    const node = make(had);
    this.rows.set(key, { signature, node });
    return node;
  }
}
