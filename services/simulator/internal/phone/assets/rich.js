// Replies that are more than a text: pictures, voice, templates, quick replies.

import { el, icon, webURL } from "./dom.js";

/** rich draws the message object of a reply as the Send API got it. */
export function rich(m, open, phone) {
  const { text, attachment, attachments } = m.content;
  if (text) return el("button.bubble", open, text);
  if (attachments) return el("div.cards", {}, attachments.map((a) => media(a, open)));
  if (attachment?.type === "template") return template(attachment.payload, phone);
  if (attachment) return media(attachment, open);
  return el("button.bubble.mono", open, "Something this phone cannot show");
}

function media({ type, payload }, open) {
  const url = webURL(payload?.url ?? "");
  switch (type) {
    case "like_heart":
      return el("button.bubble.big", open, "❤️");
    case "image":
      return el("button.card", open, url ? el("img", { src: url, alt: "", loading: "lazy", referrerpolicy: "no-referrer" }) : el("span.pic", {}, icon("image")));
    case "video":
      return el("div.card", {}, url ? el("video", { src: url, controls: true, preload: "none" }) : el("span.pic", {}, icon("play")));
    case "audio":
      return el("button.bubble.voice", open, icon("play"), el("span.wave", {}, Array.from({ length: 24 }, () => el("i"))));
    case "file":
      return el("button.bubble.voice", open, icon("file"), url ? decodeURIComponentSafe(url.split("/").pop()) || "File" : "File");
    case "MEDIA_SHARE":
      return el("button.card", open, el("span.pic", {}, icon("image")), el("span.body", {}, el("b", {}, "Post"), el("span", {}, payload?.id ?? "")));
    default:
      return el("button.bubble.mono", open, String(type));
  }
}

function decodeURIComponentSafe(s) {
  try { return decodeURIComponent(s); } catch { return s; }
}

function template(payload, phone) {
  if (payload?.template_type === "button") {
    return el("div.card", {}, el("div.body", { dir: "auto" }, payload.text), buttons(payload.buttons, phone));
  }
  return el("div.cards", {}, (payload?.elements ?? []).map((e) => {
    const image = webURL(e.image_url ?? "");
    return el("div.card", {}, image && el("img", { src: image, alt: "", loading: "lazy", referrerpolicy: "no-referrer" }),
      el("div.body", { dir: "auto" }, el("b", {}, e.title), e.subtitle && el("span", {}, e.subtitle)), buttons(e.buttons, phone));
  }));
}

function buttons(list, phone) {
  if (!list?.length) return null;
  return el("div.buttons", {}, list.map((b) => {
    const url = b.type === "web_url" ? webURL(b.url) : null;
    if (url) return el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, b.title);
    return el("button", { type: "button", onclick: () => phone.do({ kind: "postback", text: b.title, payload: b.payload }) }, b.title);
  }));
}

/** quickReplies are the taps that a reply offers until something else is said. */
export function quickReplies(list, phone) {
  return el("div.replies", {}, list.filter((q) => q.content_type === "text").map((q) =>
    el("button.chip", { type: "button", dir: "auto", onclick: () => phone.do({ kind: "quick_reply", text: q.title, payload: q.payload }) }, q.title)));
}
