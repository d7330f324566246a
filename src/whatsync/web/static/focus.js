// Focus survives when a part of the page, or the page itself, comes anew: what had it is found again by what it is.

const REACHED = "a[href], button, input, select, textarea, summary, [tabindex]";
const told = (one) => (one.getAttribute("aria-label") ?? one.textContent).trim();

// What stays the same about an element when its part of the page comes again.
function key(one) {
  if (one.id) return `#${one.id}`;
  if (one.matches("a")) return `a ${one.getAttribute("href")}`;
  if (one.matches("input, select, textarea")) return `${one.name} ${one.matches("[type=checkbox], [type=radio]") ? one.value : ""}`;
  if (one.matches("summary")) return `summary ${one.parentElement.id || told(one)}`;
  return `${one.form?.getAttribute("action") ?? ""} ${told(one)}`;
}
const alike = (wanted) => [...document.querySelectorAll(REACHED)].filter((one) => key(one) === wanted);
const nowhere = () => !document.activeElement || document.activeElement === document.body;

// Where focus is: the element, what it is, the how manieth of its kind, and the parts of the page it stands in.
function place() {
  const one = document.activeElement;
  const parts = [];
  for (let around = one.parentElement; around && around.id !== "main"; around = around.parentElement) if (around.id) parts.push(around.id);
  return { one, key: key(one), nth: alike(key(one)).indexOf(one), parts };
}
function find({ key: wanted, nth, parts }) {
  const same = alike(wanted);
  if (same.length) return same[Math.min(nth, same.length - 1)];
  // It is gone: the part of the page where it stood is the next best place to read on from.
  const part = parts.map((id) => document.getElementById(id)).find(Boolean);
  if (part && !part.hasAttribute("tabindex")) part.tabIndex = -1;
  return part;
}

let held = null;
const remember = () => {
  if (!nowhere()) held = place();
  else if (!held?.one.disabled) held = null; // A button that waits for its answer has lost focus only until then.
};
const restore = () => {
  if (held && nowhere()) find(held)?.focus({ preventScroll: true });
};
document.addEventListener("htmx:beforeRequest", remember);
document.addEventListener("htmx:beforeSwap", remember);
document.addEventListener("htmx:afterRequest", restore);

// The same over a page that is loaded again, once, where a page asks for it.
const KEPT = "focus";
// In a frame, a browser may refuse to store anything at all: then nothing is kept.
function storage(act) {
  try {
    return act(sessionStorage);
  } catch {
    return null;
  }
}
export function keepFocus() {
  if (nowhere()) return;
  const { key: wanted, nth } = place();
  storage((store) => store.setItem(KEPT, JSON.stringify({ path: location.pathname, key: wanted, nth, parts: [] })));
}
const kept = storage((store) => JSON.parse(store.getItem(KEPT) ?? "null"));
storage((store) => store.removeItem(KEPT));
if (kept?.path === location.pathname && nowhere()) find(kept)?.focus({ preventScroll: true });
