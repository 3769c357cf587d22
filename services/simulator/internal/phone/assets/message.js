// One message, as it looks on the phone.

import { el, face, icon } from "./dom.js";
import { milliseconds, onlyEmoji } from "./format.js";
import { rich, quickReplies } from "./rich.js";

const REACTIONS = ["❤️", "😂", "👍", "😮"];

/** row is a message with everything that belongs to it. */
export function row(m, shape, phone, fresh) {
  const mine = m.from_customer;
  const classes = ["row", mine ? "mine" : "theirs"];
  if (shape.first) classes.push("first");
  if (shape.last) classes.push("last");
  if (fresh) classes.push("enter");
  if (m.reaction) classes.push("reacted");
  if (mine && (m.state === "refused" || m.state === "retrying")) classes.push("failed");
  const stack = el("div.stack", {},
    m.reply_to && quote(m, shape.quoted),
    body(m, phone),
    m.edits && !m.deleted ? el("span.edited", {}, "Edited") : null,
    m.reaction && el("span.reaction", {}, m.reaction),
    shape.open && tools(m, phone));
  const node = el(`li.${classes.join(".")}`, {},
    !mine && face(phone.account.name, phone.account.id, ".shop"), stack,
    !mine && m.latency_ms >= 0 ? el("span.took", { title: "from the webhook to the reply" }, milliseconds(m.latency_ms)) : null);
  if (shape.newest && !mine && m.content?.quick_replies) {
    const chips = quickReplies(m.content.quick_replies, phone);
    return el("li", {}, el("div." + classes.join("."), {}, ...node.childNodes), chips);
  }
  return node;
}

function quote(m, quoted) {
  const whose = quoted ? (quoted.from_customer === m.from_customer ? "Replied to themselves" : "Replied to you") : "Replied";
  return el("div.quote", {}, m.from_customer ? "You replied" : whose, el("q", { dir: "auto" }, quoted ? quoted.text || "Attachment" : "Message"));
}

function body(m, phone) {
  const open = { type: "button", dir: "auto", title: new Date(m.at).toLocaleString(), onclick: () => phone.openTools(phone.tools === m.mid ? null : m.mid) };
  if (m.deleted) return el("span.bubble.gone", {}, "Message unsent");
  if (m.content) return rich(m, open, phone);
  switch (m.kind) {
    case "image":
      return el("button.card", open, el("span.pic", {}, icon("image")));
    case "video":
      return el("button.card", open, el("span.pic", {}, icon("play")));
    case "audio":
      return el("button.bubble.voice", open, icon("play"), el("span.wave", {}, Array.from({ length: 24 }, () => el("i"))), "0:07");
    case "share":
      return el("button.card", open, el("span.pic", {}, icon("image")), el("span.body", {}, el("b", {}, phone.account.username), el("span", {}, "Shared a post")));
    case "story_mention":
      return [el("span.label", {}, `You mentioned @${phone.account.username} in your story`), el("button.card", open, el("span.pic.tall", {}, icon("story")))];
    case "story_reply":
      return [el("span.label", {}, "You replied to their story"), el("button.bubble", open, m.text)];
    case "like_heart":
      return el("button.bubble.big", open, "❤️");
    case "unsupported":
      return el("button.bubble.mono", open, "Something the API does not support");
    case "postback":
      return [el("span.label", {}, "You tapped"), el("button.bubble", open, m.text)];
    default:
      return el(`button.bubble${onlyEmoji(m.text ?? "") ? ".big" : ""}`, open, m.text ?? "");
  }
}

function tools(m, phone) {
  if (m.deleted) return null;
  const again = (label, kind, extra = "") => el(`button${extra}`, { type: "button", onclick: () => phone.do(kind) }, label);
  const buttons = [];
  if (m.from_customer) {
    if (m.kind === "text") buttons.push(el("button", { type: "button", onclick: () => { phone.composer.edit(m); phone.openTools(null); } }, "Edit"));
    buttons.push(again("Unsend", { kind: "unsend", target: m.mid }));
  } else {
    for (const emoji of REACTIONS) {
      const on = m.reaction === emoji;
      buttons.push(again(emoji, on ? { kind: "unreact", target: m.mid } : { kind: "react", target: m.mid, text: emoji }, ".emoji"));
    }
    buttons.push(again("Seen", { kind: "seen", target: m.mid }));
  }
  buttons.push(el("button", { type: "button", onclick: () => { phone.composer.quote(m); phone.openTools(null); } }, "Reply"));
  return el("div.tools", { role: "toolbar" }, buttons);
}

/** noteFor says under a message of the customer's how its webhook went, where that matters: under the newest, and under each that was not taken. */
export function noteFor(m, newest, seenAt) {
  if (!m.from_customer) return null;
  const answer = m.status ? `answered ${m.status}` : "no answer";
  switch (m.state) {
    case "waiting":
      return newest ? { text: "Sending…", title: "the webhook is on its way" } : null;
    case "retrying":
      return { bad: true, text: `Webhook: ${answer} · trying again (${m.attempts})`, title: "Meta repeats a webhook until it is answered with 200" };
    case "refused":
      return { bad: true, text: `Webhook: ${answer} · given up`, title: "it will not be sent again" };
    default:
      if (!newest) return null;
      if (seenAt && seenAt > m.at) return { text: "Seen", title: "the account marked it as seen" };
      return { text: m.attempts > 1 ? `Delivered · ${m.status} after ${m.attempts} attempts` : `Delivered · ${m.status}`, title: "the webhook was accepted" };
  }
}
