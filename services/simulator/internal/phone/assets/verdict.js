// The verdict over what every customer received.

import { el } from "./dom.js";
import { duration } from "./format.js";

const COUNTS = [["sent", "messages in"], ["answered", "answered right"], ["missing", "missing", true], ["doubled", "doubled", true], ["swapped", "swapped", true], ["wrong", "wrong", true], ["withheld", "withheld by us"]];

export function verdictView(v, panel) {
  if (!v.sent) return el("p.empty", {}, "Nobody has written yet.");
  return [
    el(`div.judgement${v.good ? ".good" : ".bad"}`, {}, el("b", {}, v.good ? "Good" : "Not good"),
      el("span", {}, v.good ? "Each message has exactly one reply, in order." : "Not every message has exactly one reply, in order.")),
    el("dl.counts", {}, COUNTS.map(([key, label, bad]) => el(`div${bad && v[key] ? ".bad" : ""}`, {}, el("dt", {}, label), el("dd", {}, String(v[key]))))),
    el("p.small", {}, `From webhook to reply: half within ${duration(v.p50)}, 99 % within ${duration(v.p99)}, all within ${duration(v.max)}.`),
    v.accounts?.length > 1 && el("table", {}, el("thead", {}, el("tr", {}, ["account", "in", "right", "p50", "p99"].map((h) => el("th", {}, h)))),
      el("tbody", {}, v.accounts.slice(0, 50).map((a) => el("tr", {}, el("td", { dir: "auto" }, a.name), [a.sent, a.answered, duration(a.p50), duration(a.p99)].map((x) => el("td", {}, String(x))))))),
    v.faults.length > 0 && el("ul.faults", {}, v.faults.slice(0, 20).map((f) => el("li", {}, el("div", {},
      el("b", {}, f.kind), el("small", { dir: "auto" }, `customer ${f.customer}, number ${f.number}${f.expect ? `: “${f.expect}”` : f.got ? `: “${f.got}”` : ""}`))))),
    el("button.secondary.wide", { type: "button", onclick: () => { if (confirm("Forget every conversation?")) panel.run("POST", "reset"); } }, "Forget everything and begin again"),
  ].filter(Boolean);
}
