// Live updates: one EventSource for a page that has data-live on its body. Each change becomes an event "parley:change" on
// the document, with {account, conversation, kind} in its detail; modules of pages listen for it. After a connection was
// lost, "parley:missed" says that changes may have been missed.
export const live = () => {
  const url = document.body.dataset.live;
  if (!url) return;
  const state = document.querySelector("[data-live-state]");
  const say = (text, on) => {
    if (!state) return;
    state.hidden = false;
    state.textContent = text;
    state.classList.toggle("on", on);
  };
  const source = new EventSource(url);
  let lost = false;
  source.addEventListener("open", () => {
    say("live", true);
    if (lost) document.dispatchEvent(new CustomEvent("parley:missed"));
    lost = false;
  });
  source.addEventListener("error", () => {
    lost = true;
    state?.setAttribute("role", "status"); // from here on it is worth saying
    say("reconnecting", false);
  });
  source.addEventListener("missed", () => document.dispatchEvent(new CustomEvent("parley:missed")));
  source.addEventListener("bye", () => {
    source.close();
    say("signed out", false);
  });
  source.addEventListener("change", (e) => {
    document.dispatchEvent(new CustomEvent("parley:change", {detail: JSON.parse(e.data)}));
  });
  addEventListener("pagehide", () => source.close());
};

// swap fetches a fragment and puts it in place of an element; the reader's place is kept.
export const swap = async (element, url) => {
  const answer = await fetch(url, {headers: {"X-Fragment": "1"}, redirect: "error"});
  if (!answer.ok) return false;
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  element.replaceChildren(...parsed.body.childNodes);
  return true;
};
