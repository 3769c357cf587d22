// The page: which phones there are, and what arrives for each.

import { closePhone, listen, openPhone } from "./api.js";
import { el, face, sync } from "./dom.js";
import { ahead } from "./format.js";
import { Panel } from "./panel.js";
import { Phone } from "./phone.js";

const $ = (id) => document.getElementById(id);
const keyOf = ({ account, customer }) => `${account}:${customer}`;
const accounts = new Map();
const phones = new Map();
let kinds = [];

let toastTimer;
function complain(error) {
  const toast = $("toast");
  toast.textContent = error.message ?? String(error);
  toast.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { toast.hidden = true; }, 6000);
}

function show(thread) {
  const key = keyOf(thread);
  let phone = phones.get(key);
  if (!phone) {
    phone = new Phone(accounts.get(thread.account), thread, {
      complain, kinds,
      close: () => closePhone(thread).catch(complain),
    });
    phones.set(key, phone);
  }
  phone.load(thread);
}

function arrange() {
  sync($("phones"), [...phones.values()].map((p) => p.node));
  sync($("tabs"), [...phones.values()].map((p) => (p.tab ??= tabFor(p))));
  for (const phone of phones.values()) phone.placed();
  markTab();
}

function tabFor(phone) {
  return el("button.tab", { type: "button", onclick: () => phone.node.scrollIntoView({ behavior: "smooth", inline: "start" }) },
    face(phone.name, phone.key.customer), phone.name.split(" ")[0]);
}

function markTab() {
  const left = $("phones").getBoundingClientRect().left;
  let nearest = null;
  for (const p of phones.values()) {
    const distance = Math.abs(p.node.getBoundingClientRect().left - left);
    if (!nearest || distance < nearest.distance) nearest = { distance, p };
  }
  for (const p of phones.values()) p.tab?.setAttribute("aria-selected", String(p === nearest?.p));
}

function totals(t) {
  $("total-sent").textContent = t.sent;
  $("total-accepted").textContent = t.accepted;
  $("total-replies").textContent = t.replies;
  $("total-refused").textContent = t.refused;
  $("total-refused-box").hidden = t.refused === 0;
  $("total-withheld").textContent = t.withheld;
  $("total-withheld-box").hidden = t.withheld === 0;
  $("faults-count").textContent = t.faults;
  $("faults-count").hidden = t.faults === 0;
  const odd = [];
  if (t.unsubscribed) odd.push(t.unsubscribed === 1 ? "An account gets no webhooks: its app is unsubscribed." : `${t.unsubscribed} accounts get no webhooks: their app is unsubscribed.`);
  if (t.ahead_seconds) odd.push(`Meta's clock is ${ahead(t.ahead_seconds)} ahead.`);
  $("odd").textContent = odd.join(" ");
  $("odd").hidden = odd.length === 0;
}

const panel = new Panel($("panel"), accounts, phones, complain);
$("open-panel").addEventListener("click", () => panel.toggle());
$("odd").addEventListener("click", () => panel.show("meta"));

function chooseAccounts(list) {
  accounts.clear();
  for (const a of list) accounts.set(a.id, a);
  const select = $("account");
  const chosen = select.value;
  sync(select, list.map((a) => el("option", { value: a.id }, a.name)));
  if (accounts.has(chosen)) select.value = chosen;
  $("account-box").hidden = list.length < 2;
}

listen({
  link(state) {
    $("link").dataset.state = state;
    $("link").textContent = state === "live" ? "live" : "connection lost, trying again…";
  },
  state(s) {
    kinds = s.kinds;
    chooseAccounts(s.accounts);
    const there = new Set(s.threads.map(keyOf));
    for (const key of phones.keys()) if (!there.has(key)) phones.delete(key);
    s.threads.forEach(show);
    totals(s.totals);
    arrange();
  },
  totals,
  update(u) {
    if (u.type === "reset") return location.reload();
    const key = keyOf(u);
    if (u.type === "customer") {
      if (!phones.has(key)) {
        show({ account: u.account, customer: u.customer, name: u.name, messages: [], typing: false });
        arrange();
      }
      return;
    }
    if (u.type === "closed") {
      phones.delete(key);
      return arrange();
    }
    phones.get(key)?.update(u);
  },
});

$("add").addEventListener("click", async () => {
  try {
    const thread = await openPhone($("account").value);
    show(thread);
    arrange();
    const phone = phones.get(keyOf(thread));
    phone.node.scrollIntoView({ behavior: "smooth", inline: "end", block: "nearest" });
    phone.focus();
  } catch (error) {
    complain(error);
  }
});

$("phones").addEventListener("scroll", () => requestAnimationFrame(markTab), { passive: true });
