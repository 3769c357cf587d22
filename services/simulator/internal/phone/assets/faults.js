// What may go wrong: presets, each with its own fields, a rate and a scope.

import { el } from "./dom.js";

const CALLS = "Answers of the Graph API", HOOKS = "Webhooks and echoes";
const number = (name, label, value, min = 0, max) => ({ name, label, value, min, max });

export const PRESETS = [
  { id: "error", group: CALLS, label: "Any error", note: "Refuses with a code of your choice.", fault: { kind: "error" },
    fields: [number("code", "Code", 2), number("subcode", "Subcode", ""), number("status", "HTTP status", 500, 400, 599)] },
  { id: "rate", group: CALLS, label: "613, too fast", note: "The send rate of the account is exceeded.", fault: { kind: "error", code: 613, subcode: 2534040 } },
  { id: "limit", group: CALLS, label: "Throttled, with headers", note: "80006, with the usage headers at 100 %.", fault: { kind: "rate_limit" }, fields: [number("regain_minutes", "Minutes to regain", 5, 1)] },
  { id: "usage", group: CALLS, label: "Usage rises", note: "Only the headers say so; nothing is refused.", fault: { kind: "usage" }, fields: [number("percent", "Percent", 85, 0, 500), number("regain_minutes", "Minutes to regain", 0)] },
  { id: "token", group: CALLS, label: "Dead token", note: "190 for every call of the account.", fault: { kind: "dead_token" }, fields: [number("subcode", "Subcode", 463)] },
  { id: "window", group: CALLS, label: "Outside the window", note: "10/2534022: too late to answer.", fault: { kind: "error", code: 10, subcode: 2534022, status: 403 } },
  { id: "slow", group: CALLS, label: "Slow answers", note: "Answers late.", fault: { kind: "slow" }, fields: [number("delay_ms", "Milliseconds", 3000, 1, 600000)] },
  { id: "before", group: CALLS, label: "Reset before delivery", note: "The connection breaks; the customer got nothing.", fault: { kind: "reset_before" } },
  { id: "after", group: CALLS, label: "Reset after delivery", note: "The connection breaks; the customer has the message.", fault: { kind: "reset_after" } },
  { id: "sent", group: CALLS, label: "Sent, but an error", note: "1/1357046, although the customer has it.", fault: { kind: "sent_but_error" } },
  { id: "garbage", group: CALLS, label: "Garbage", note: "502 with a page instead of JSON.", fault: { kind: "garbage" } },
  { id: "lookups", group: CALLS, label: "Conversations down", note: "Nobody can ask what was sent.", fault: { kind: "error", code: 2, status: 503, transient: true, endpoint: "conversations" } },
  { id: "early", group: HOOKS, label: "Echo before the answer", note: "The echo overtakes the answer of the Send API.", fault: { kind: "echo_first" } },
  { id: "noecho", group: HOOKS, label: "No echo", note: "What was sent is never echoed.", fault: { kind: "no_echo" } },
  { id: "twice", group: HOOKS, label: "Duplicates", note: "Webhooks come again.", fault: { kind: "duplicate" }, fields: [number("copies", "Copies more", 1, 1, 100)] },
  { id: "late", group: HOOKS, label: "Delays", note: "Webhooks come late, out of their order.", fault: { kind: "delay" }, fields: [number("delay_ms", "Milliseconds", 5000, 1, 600000)] },
  { id: "swap", group: HOOKS, label: "Swapped", note: "A customer's next webhook comes first.", fault: { kind: "reorder" }, fields: [number("delay_ms", "Waits, in milliseconds", 2000, 1, 600000)] },
  { id: "batch", group: HOOKS, label: "Batches", note: "Many items in one webhook.", fault: { kind: "batch" }, fields: [number("size", "Items", 50, 2, 1000), number("delay_ms", "Waits, in milliseconds", 500, 0, 600000)] },
  { id: "never", group: HOOKS, label: "Withheld", note: "Webhooks that never come, for a backfill to find.", fault: { kind: "withhold" } },
];

const TITLES = Object.fromEntries(PRESETS.filter((p) => p.fault.kind !== "error").map((p) => [p.fault.kind, p.label]));

/** describe says what a fault that is set does, and to whom. */
export function describe(f) {
  let title = TITLES[f.kind] ?? f.kind;
  if (f.kind === "error") title = `Error ${f.code}${f.subcode ? `/${f.subcode}` : ""}`;
  const extra = [f.delay_ms && `${f.delay_ms} ms`, f.percent && `${f.percent} %`, f.size && `${f.size} items`, f.copies && `${f.copies} more`].filter(Boolean);
  return {
    title: extra.length ? `${title} · ${extra.join(", ")}` : title,
    scope: (panel) => [
      f.rate < 1 ? `${Math.round(f.rate * 1000) / 10} %` : "always", f.count ? `${f.count} times at most` : "",
      f.endpoint ?? "", f.account ? panel.accounts.get(f.account)?.name ?? f.account : "", f.customer ? `customer ${f.customer}` : "",
    ].filter(Boolean).join(" · "),
  };
}

/** faultForm lists the presets; the chosen one opens with its fields. */
export function faultForm(panel) {
  const groups = [...new Set(PRESETS.map((p) => p.group))];
  return el("div.presets", {}, groups.map((group) => el("section", {}, el("h3", {}, group),
    PRESETS.filter((p) => p.group === group).map((p) => preset(p, panel)))));
}

function preset(p, panel) {
  const details = el("details", { name: "preset" }, el("summary", {}, el("b", {}, p.label), el("span", {}, p.note)));
  // The fields are made when they are looked at: until then the phones may change.
  details.addEventListener("toggle", () => {
    details.querySelector("form")?.remove();
    if (details.open) details.append(form(p, panel, () => { details.open = false; }));
  });
  return details;
}

function form(p, panel, done) {
  const own = (p.fields ?? []).map((f) => labelled(f.label, el("input", { name: f.name, type: "number", value: String(f.value), min: f.min, max: f.max, "data-number": "1" })));
  const rate = select("rate", "How often", [["1", "always"], ["0.5", "every other"], ["0.2", "20 %"], ["0.1", "10 %"], ["0.01", "1 %"]]);
  const count = labelled("Times at most", el("input", { name: "count", type: "number", min: 0, placeholder: "no bound", "data-number": "1" }));
  const accounts = select("account", "Account", [["", "all"], ...[...panel.accounts.values()].map((a) => [a.id, a.name])]);
  const customers = select("customer", "Customer", [["", "all"], ...[...panel.phones.values()].map((c) => [c.key.customer, c.name])]);
  const endpoint = p.group === CALLS && !p.fault.endpoint && !["dead_token", "usage"].includes(p.fault.kind)
    ? select("endpoint", "Endpoint", [["", "messages"], ...["conversations", "profile", "debug_token", "refresh_access_token", "subscribed_apps", "all"].map((e) => [e, e])])
    : ["duplicate", "delay", "reorder", "batch"].includes(p.fault.kind) ? select("endpoint", "Of", [["", "what customers do"], ["echoes", "echoes"], ["all", "both"]]) : null;
  return el("form", { onsubmit: async (event) => {
    event.preventDefault();
    const fault = { ...p.fault };
    for (const input of event.target.elements) {
      if (!input.name || input.value === "") continue;
      fault[input.name] = input.dataset.number ? Number(input.value) : input.value;
    }
    done();
    await panel.run("POST", "fault", fault);
  } }, el("div.grid", {}, own, rate, count, endpoint, accounts, customers), el("button.primary.wide", {}, "Let it go wrong"));
}

const labelled = (label, input) => el("label", {}, el("span", {}, label), input);

function select(name, label, options) {
  return labelled(label, el("select", { name, "data-number": name === "rate" ? "1" : null }, options.map(([value, text]) => el("option", { value }, text))));
}
