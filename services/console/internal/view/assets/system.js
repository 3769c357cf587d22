// The page of the system draws itself again every few seconds, while somebody looks at it and has nothing selected in it.
import {swap} from "./live.js";

const every = 4000;
const now = document.getElementById("system");
const stale = document.getElementById("system-stale");

const busy = () => {
  const chosen = document.getSelection();
  return document.hidden || (chosen && !chosen.isCollapsed && now.contains(chosen.anchorNode)) || now.contains(document.activeElement);
};

const again = async () => {
  if (!busy()) {
    try {
      stale.hidden = await swap(now, now.dataset.now);
    } catch {
      stale.hidden = false;
    }
  }
  setTimeout(again, every);
};

setTimeout(again, every);
document.addEventListener("parley:missed", async () => { if (!busy()) await swap(now, now.dataset.now).catch(() => {}); });
