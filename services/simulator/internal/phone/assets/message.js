// One message, as it looks on the phone.

import { el, face, icon } from "./dom.js";
import { milliseconds, onlyEmoji } from "./format.js";
import { media, rich, quickReplies, several, stand } from "./rich.js";

const REACTIONS = ["❤️", "😂", "👍", "😮"];

/** row is a message with everything that belongs to it. */
export function row(m, shape, phone, fresh) {
  const mine = m.from_customer;
  const classes = ["row", mine ? "mine" : "theirs"];
  if (shape.first) classes.push("first");
  if (shape.last) classes.push("last");
  if (fresh) classes.push("enter");
  if (m.reaction) classes.push("reacted");
  if (mine && ["refused", "retrying", "withheld"].includes(m.state)) classes.push("failed");
  const stack = el("div.stack", {},
    m.app && el("span.label", {}, "Written in the Instagram app"),
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
  if (!m.from_customer) return m.content ? rich(m, open, phone) : bubble(m.text, open);
  return [LABELS[m.kind]?.(phone.account.username), ...own(m, open)];
}

const bubble = (text, open) => el(`button.bubble${onlyEmoji(text ?? "") ? ".big" : ""}`, open, text ?? "");

// What stands above a message of the customer's that is more than its text.
const label = (text) => el("span.label", {}, text);
const LABELS = {
  story_mention: (shop) => label(`You mentioned @${shop} in your story`),
  story_reply: () => label("You replied to their story"),
  ig_story: () => label("You shared a story"),
  ephemeral: () => label("View once"),
  postback: () => label("You tapped"),
  ad_referral: () => label("You came from an ad"),
  shop_referral: () => label("You came from the shop"),
  standby: () => label("Another app has the thread"),
};

const SHARED = { share: "Shared a post", ig_post: "Shared a post", ig_reel: "Shared a reel", reel: "Shared a reel", fallback: "Shared a link" };

/** own is what the customer sent: the attachments, as they were written, and the text. */
function own(m, open) {
  const nodes = [];
  if (m.kind === "unsupported") nodes.push(el("button.bubble.mono", open, "Something the API does not support"));
  else if (m.kind === "empty") nodes.push(el("button.bubble.mono", open, "Nothing at all"));
  else if (m.kind === "ephemeral") nodes.push(el("button.bubble.once", open, stand("play", ".dot"), "Photo"));
  else if (m.kind === "story_mention" || m.kind === "ig_story") nodes.push(el("button.card", open, stand("story", ".tall")));
  else if (m.kind === "story_reply") nodes.push(el("span.card.thumb", {}, stand("story", ".tall")));
  else if (m.content?.attachments) nodes.push(several(m.content.attachments.map((a) => media(a, open, SHARED[a.type]))));
  if (m.text || !nodes.length) nodes.push(bubble(m.text, open));
  return nodes;
}

/** event is a line about something that happened beside the messages. */
export const event = (m) => el("li.happened", { title: new Date(m.at).toLocaleString(), dir: "auto" }, m.text);

function tools(m, phone) {
  if (m.deleted) return null;
  const again = (label, kind, extra = "") => el(`button${extra}`, { type: "button", onclick: () => phone.do(kind) }, label);
  const buttons = [];
  if (m.from_customer) {
    if (m.text && !["postback", "quick_reply"].includes(m.kind)) buttons.push(el("button", { type: "button", onclick: () => { phone.composer.edit(m); phone.openTools(null); } }, "Edit"));
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
    case "withheld":
      return { bad: true, text: "Webhook withheld: never sent", title: "a fault withheld it, or the account's app is not subscribed" };
    case "refused":
      return { bad: true, text: `Webhook: ${answer} · given up`, title: "it will not be sent again" };
    default:
      if (!newest) return null;
      if (seenAt && seenAt > m.at) return { text: "Seen", title: "the account marked it as seen" };
      return { text: m.attempts > 1 ? `Delivered · ${m.status} after ${m.attempts} attempts` : `Delivered · ${m.status}`, title: "the webhook was accepted" };
  }
}
