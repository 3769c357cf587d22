// What every page has: keys, notices that go away, copy buttons. Pages work without it.
import {keys} from "./keys.js";
import {live} from "./live.js";

keys();
live();

for (const toast of document.querySelectorAll(".toast")) {
  setTimeout(() => toast.remove(), 6000);
}

document.addEventListener("click", async (e) => {
  const button = e.target.closest("[data-copy]");
  if (button) {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1500);
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(e.target)) menu.open = false;
  }
});

// A form with data-confirm asks before it is sent.
document.addEventListener("submit", (e) => {
  const text = e.target.dataset.confirm;
  if (text && !window.confirm(text)) e.preventDefault();
});
