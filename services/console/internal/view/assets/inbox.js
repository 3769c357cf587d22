// The inbox, live: what changed is fetched and put in its place, the reader's place and what is being written stay. Without
// this script every link and form works by itself.
const rows = document.querySelector("[data-rows]");
const section = document.querySelector("[data-conversation]");
const thread = document.getElementById("thread");
const form = document.querySelector("[data-composer]");
const text = form?.querySelector("textarea");

const fetched = async (url) => {
  const answer = await fetch(url, {headers: {"X-Fragment": "1"}, redirect: "error"});
  if (!answer.ok) return null;
  return new DOMParser().parseFromString(await answer.text(), "text/html");
};

// once runs f now and, for however many calls meanwhile, once more afterwards; while nobody looks it waits.
const once = (f) => {
  let running = false, again = false;
  const run = async () => {
    if (document.hidden) return void (again = true);
    if (running) return void (again = true);
    running = true;
    again = false;
    try { await f(); } catch { /* the next change tries again */ }
    running = false;
    if (again) setTimeout(run, 300);
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden && again) run(); });
  return run;
};

const atEnd = () => thread.scrollHeight - thread.scrollTop - thread.clientHeight < 80;
const toEnd = () => { thread.scrollTop = thread.scrollHeight; };

// patch makes the elements of one list those of another and touches no element that stays as it is: a screen reader reads what is
// new, and no message again because another one came.
const patch = (old, fresh) => {
  let at = old.firstElementChild;
  for (const next of [...fresh.children]) {
    if (at && next.id && at.id === next.id) {
      if (!at.isEqualNode(next)) patchMessage(at, next);
      at = at.nextElementSibling;
      continue;
    }
    let same = at;
    while (same && !(next.id ? same.id === next.id : same.isEqualNode(next))) same = same.nextElementSibling;
    if (!same) {
      old.insertBefore(next, at);
      continue;
    }
    while (at !== same) {
      const gone = at;
      at = at.nextElementSibling;
      gone.remove();
    }
    if (!at.isEqualNode(next)) patchMessage(at, next);
    at = at.nextElementSibling;
  }
  while (at) {
    const gone = at;
    at = at.nextElementSibling;
    gone.remove();
  }
};

// patchMessage changes the parts of a message that differ.
const patchMessage = (old, fresh) => {
  const was = [...old.children], is = [...fresh.children];
  old.className = fresh.className;
  if (was.length !== is.length) return void old.replaceChildren(...fresh.childNodes);
  was.forEach((part, i) => { if (!part.isEqualNode(is[i])) part.replaceWith(is[i]); });
};

// Who has the conversation is said when it changes.
const said = document.querySelector("[data-say]");
const holder = () => document.querySelector(".thread-head .holder")?.textContent.replace(/\s+/g, " ").trim() ?? "";
let had = holder();

const busy = (element) => element.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");

const refreshRows = once(async () => {
  const url = new URL(rows.dataset.rows, location.href);
  if (section) url.searchParams.set("current", section.dataset.conversation);
  const found = await fetched(url);
  if (!found) return;
  const focus = rows.contains(document.activeElement) ? document.activeElement.dataset.id : "";
  const top = rows.scrollTop;
  rows.replaceChildren(...found.body.childNodes);
  rows.scrollTop = top;
  if (focus) rows.querySelector(`[data-id="${CSS.escape(focus)}"]`)?.focus({preventScroll: true});
});

const refreshThread = once(async () => {
  const url = new URL(section.dataset.liveHref, location.href);
  if (section.dataset.from) url.searchParams.set("from", section.dataset.from);
  const found = await fetched(url);
  if (!found) return;
  const end = atEnd();
  for (const part of found.querySelectorAll("[data-part]")) {
    const old = document.querySelector(`.inbox [data-part="${part.dataset.part}"]`);
    if (!old || busy(old) || old.innerHTML === part.innerHTML) continue;
    const open = [...old.querySelectorAll("details[open]")].map((d) => d.closest("[id]")?.id);
    if (part.dataset.part === "items") patch(old, part);
    else old.replaceChildren(...part.childNodes);
    for (const id of open) if (id) document.getElementById(id)?.querySelector("details")?.setAttribute("open", "");
    if (part.dataset.held) form?.querySelector("[data-send]")?.replaceChildren(part.dataset.held === "true" ? "Send" : "Take over and send");
  }
  if (end) toEnd();
  if (said && holder() !== had) said.textContent = had = holder();
  count();
});

const later = new URLSearchParams(location.search).has("after") || new URLSearchParams(location.search).has("before");
document.addEventListener("parley:change", (e) => {
  if (!new URLSearchParams(location.search).has("after")) refreshRows();
  if (section && !later && e.detail.conversation === section.dataset.conversation) refreshThread();
});
document.addEventListener("parley:missed", () => {
  refreshRows();
  if (section && !later) refreshThread();
});

// Earlier messages are put before those that are there; what is being read does not move.
document.addEventListener("click", async (e) => {
  const link = e.target.closest("[data-older]");
  if (!link || e.ctrlKey || e.metaKey) return;
  e.preventDefault();
  const url = new URL(link.href);
  url.pathname += "/earlier";
  const found = await fetched(url).catch(() => null);
  if (!found) return void (location.href = link.href);
  const before = thread.scrollHeight - thread.scrollTop;
  const head = found.body.firstElementChild;
  const block = document.createElement("div");
  head.remove();
  block.replaceChildren(...found.body.childNodes);
  document.querySelector("[data-earlier]").replaceChildren(...head.childNodes);
  document.querySelector("[data-earlier]").after(block);
  thread.scrollTop = thread.scrollHeight - before;
});

// How long may still be written to the customer.
const spell = (ms) => {
  const minutes = Math.floor(ms / 60000), hours = Math.floor(minutes / 60);
  if (hours >= 48) return `${Math.floor(hours / 24)} days ${hours % 24} h left`;
  if (hours >= 1) return `${hours} h ${minutes % 60} min left`;
  return `${minutes}:${String(Math.floor(ms / 1000) % 60).padStart(2, "0")} left`;
};
const count = () => {
  for (const element of document.querySelectorAll("[data-until]")) {
    const left = new Date(element.dataset.until) - Date.now();
    element.textContent = left > 0 ? spell(left) : "over";
  }
};
if (section) {
  count();
  setInterval(count, 1000);
}

// The composer: what was written survives going elsewhere, and says how many messages it becomes.
if (form) {
  const key = `draft-${form.dataset.composer}`;
  const counter = form.querySelector("[data-count]");
  const idle = counter.textContent;
  const measure = () => {
    const bytes = new TextEncoder().encode(text.value).length, most = Number(text.dataset.max), piece = Number(text.dataset.piece);
    counter.classList.toggle("over", bytes > most);
    counter.textContent = bytes === 0 ? idle : bytes > most ? `${bytes} bytes: at most ${most} at once`
      : bytes > piece ? `${bytes} bytes: sent as ${Math.ceil(bytes / piece)} messages or more` : `${bytes} of ${piece} bytes`;
    sessionStorage.setItem(key, text.value);
  };
  if (!text.value) text.value = sessionStorage.getItem(key) ?? "";
  if (text.value) measure();

  const list = form.querySelector("[data-saved]");
  const suggest = () => {
    if (!list) return;
    const typed = /^\/(\S*)$/.exec(text.value);
    let any = false;
    for (const button of list.querySelectorAll("button")) {
      const fits = typed !== null && button.dataset.shortcut.toLowerCase().startsWith(typed[1].toLowerCase());
      button.parentElement.hidden = !fits;
      any ||= fits;
    }
    list.hidden = !any;
  };
  list?.addEventListener("click", (e) => {
    const button = e.target.closest("button");
    if (!button) return;
    text.value = button.dataset.body;
    list.hidden = true;
    measure();
    text.focus();
  });
  text.addEventListener("input", () => { measure(); suggest(); });
  text.addEventListener("keydown", (e) => {
    if (list && !list.hidden && (e.key === "Enter" || e.key === "Tab") && !e.shiftKey) {
      e.preventDefault();
      list.querySelector("li:not([hidden]) button")?.click();
    } else if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) {
      form.requestSubmit();
    }
  });

  // Sent in place. When that goes wrong in any way the form is sent as it is: with its nonce it says the same once.
  let sending = false;
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    if (sending || !text.value.trim()) return;
    sending = true;
    const nonce = form.querySelector("[name=nonce]");
    try {
      const answer = await fetch(form.action, {method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "manual"});
      if (answer.type !== "opaqueredirect") throw new Error("refused");
      text.value = "";
      sessionStorage.removeItem(key);
      nonce.value = crypto.randomUUID();
      form.querySelector(".alert")?.remove();
      measure();
      toEnd();
      refreshThread();
    } catch {
      form.submit();
    } finally {
      sending = false;
    }
  });
}

document.addEventListener("change", (e) => {
  if (e.target.matches("[data-submit]")) e.target.form.requestSubmit();
});

if (thread) {
  const target = location.hash.startsWith("#m-") && document.getElementById(location.hash.slice(1));
  if (target) target.scrollIntoView({block: "center"});
  else toEnd();
}
