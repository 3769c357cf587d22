// The phone beside a rule's form, drawn by the server while one types. Without it there is the button "Preview".
const form = document.querySelector("form[data-preview]");
const phone = document.getElementById("phone");

if (form && phone) {
  let timer = 0;
  let asking = new AbortController();
  const draw = async () => {
    asking.abort();
    asking = new AbortController();
    try {
      const answer = await fetch(form.dataset.preview, {method: "POST", body: new URLSearchParams(new FormData(form)), signal: asking.signal, redirect: "error"});
      if (!answer.ok) return;
      const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
      phone.replaceChildren(...parsed.body.childNodes);
    } catch (e) {
      if (e.name !== "AbortError" && !(e instanceof TypeError)) throw e; // offline: the phone stays as it was
    }
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(draw, 250);
  });
}
