// The state of the played Meta: its clock, and each account's token and subscription.

import { el } from "./dom.js";

const MOVES = [["1 hour", "1h"], ["25 hours", "25h"], ["8 days", "192h"], ["61 days", "1464h"]];
const DEATHS = { 458: "the app was removed", 460: "the password was changed", 463: "it has expired", 467: "it is invalid" };

export function metaView({ ahead, accounts }, panel) {
  return [
    el("section", {}, el("h3", {}, "Clock"),
      el("p.small", {}, ahead === "0s" ? "Agrees with this machine's. Moved on, windows close, tokens age and retries come due." : `${ahead} ahead of this machine's.`),
      el("div.chips", {}, MOVES.map(([label, advance]) => el("button.chip", { type: "button", onclick: () => panel.run("POST", "clock", { advance }) }, `+ ${label}`)),
        ahead !== "0s" && el("button.chip", { type: "button", onclick: () => panel.run("POST", "clock", { ahead: "0s" }) }, "Set it right"))),
    el("section", {}, el("h3", {}, "Accounts"), accounts.slice(0, 50).map((a) => account(a, panel))),
  ];
}

function account(a, panel) {
  const dead = a.token.dead, subscribed = a.subscription.subscribed;
  const path = `accounts/${a.id}`;
  return el("div.state", {}, el("b", { dir: "auto" }, a.name), el("small", {}, a.id),
    el("div.line", {}, el(`span.dot${dead ? ".bad" : ""}`), el("span", {}, dead ? `Token is dead: ${DEATHS[dead] ?? `190/${dead}`}` : a.token.expires_at ? `Token lives until ${new Date(a.token.expires_at).toLocaleString()}` : "Token lives for ever"),
      el("button.chip", { type: "button", onclick: () => panel.run("POST", `${path}/token`, { kill: dead ? 0 : 460 }) }, dead ? "Bring it to life" : "Kill it")),
    el("div.line", {}, el(`span.dot${subscribed ? "" : ".bad"}`), el("span", {}, subscription(a.subscription)),
      el("button.chip", { type: "button", onclick: () => panel.run("POST", `${path}/subscription`, { subscribed: !subscribed }) }, subscribed ? "Unsubscribe" : "Subscribe")));
}

function subscription(s) {
  if (!s.subscribed) return s.ended_at ? "Unsubscribed: its webhooks failed too long" : "Gets no webhooks";
  if (s.failing_since) return `Webhooks fail since ${new Date(s.failing_since).toLocaleTimeString()}`;
  return s.fields?.length ? `Gets ${s.fields.join(", ")}` : "Gets every webhook";
}
