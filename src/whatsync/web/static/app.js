// What every page gains from JavaScript; nothing depends on it. No inline handlers, no eval: see the policy in guard.py.

import "./focus.js";

const each = (root, selector, act) => root.querySelectorAll(selector).forEach(act);

// Times in the viewer's zone; the exact UTC stays in the title.
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const STEPS = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [Infinity, "day", 86400]];

function sayAgo(time) {
  const seconds = (Date.parse(time.dateTime) - Date.now()) / 1000;
  if (Math.abs(seconds) < 5 || ("next" in time.dataset && seconds < 0)) { time.textContent = "now"; return; }
  const [, unit, size] = STEPS.find(([below]) => Math.abs(seconds) < below);
  time.textContent = ago.format(Math.round(seconds / size), unit);
}

function showTimes(root) {
  each(root, "time[data-time]", (time) => {
    const at = new Date(time.dateTime);
    time.textContent = moment.format(at);
    time.title = `${time.dateTime} (UTC)`;
  });
  each(root, "time[data-clock]", (time) => { // the clock alone for today
    const at = new Date(time.dateTime);
    const today = at.toDateString() === new Date().toDateString();
    time.textContent = today ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
    time.title = `${moment.format(at)} · ${time.dateTime} (UTC)`;
  });
  each(root, "time[data-ago]", (time) => {
    sayAgo(time);
    time.title = `${moment.format(new Date(time.dateTime))} · ${time.dateTime} (UTC)`;
  });
}
setInterval(() => each(document, "time[data-ago]", sayAgo), 15_000);

// Fields for moments: shown in the viewer's zone, sent as UTC.
const local = (at) => new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
function localMoment(field) {
  if (field.dataset.local) return; // done when another part of the page came
  field.dataset.local = "1";
  const label = field.parentElement.querySelector(".zone");
  if (label) label.textContent = "(your time)";
  if (field.value) field.value = local(new Date(`${field.value}Z`));
  field.form.addEventListener("formdata", ({ formData }) => {
    if (field.value) formData.set(field.name, new Date(field.value).toISOString().replace(".000Z", "Z"));
  });
}

// Copying. The buttons are hidden until we are here to serve them.
async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    const field = document.createElement("textarea");
    field.value = button.dataset.copy;
    field.className = "sr";
    button.after(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  button.classList.add("done");
  tell("Copied.");
  setTimeout(() => button.classList.remove("done"), 1500);
}

// Said to screen readers only.
const voice = document.createElement("div");
voice.className = "sr";
voice.setAttribute("aria-live", "polite");
document.body.append(voice);
function tell(text) {
  voice.textContent = "";
  setTimeout(() => { voice.textContent = text; }, 30);
}

// Browsers that don't know `command` yet open dialogs here.
const knowsCommand = "command" in HTMLButtonElement.prototype;
function command(button) {
  const dialog = document.getElementById(button.getAttribute("commandfor"));
  if (button.getAttribute("command") === "show-modal") dialog?.showModal();
  if (button.getAttribute("command") === "close") dialog?.close();
}

document.addEventListener("click", (event) => {
  const at = event.target.closest("button, summary, dialog, a");
  if (at?.matches("[data-copy]")) copy(at);
  else if (at?.matches("[data-dismiss]")) at.closest(".flash")?.remove();
  else if (at?.matches("[command]") && !knowsCommand) command(at);
  else if (event.target.matches("dialog")) event.target.close(); // its backdrop
  closeOtherMenus(event);
});
// A menu ends where a click or focus goes on elsewhere: it would lie over what comes after it.
function closeOtherMenus({ target }) {
  each(document, "details.menu[open]", (menu) => { if (!menu.contains(target)) menu.open = false; });
}
document.addEventListener("focusin", closeOtherMenus);

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    each(document, "details.menu[open]", (menu) => { menu.open = false; menu.querySelector("summary").focus(); });
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog[open], [contenteditable]")) return;
  const field = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === event.key);
  if (field) {
    event.preventDefault();
    field.focus();
    field.select?.();
  } else if (event.key === "?") {
    document.getElementById("keyboard")?.showModal();
  }
});

// A part of the page that looks again by itself does not come anew under a button that is held down: with the button the
// click would be lost. The next look comes soon enough.
let pressed = null;
const letGo = () => setTimeout(() => { pressed = null; }); // after the click
document.addEventListener("pointerdown", ({ target }) => { pressed = target; });
document.addEventListener("pointerup", letGo);
document.addEventListener("pointercancel", letGo);
function leaveAlone({ detail }) {
  const asked = detail.requestConfig?.triggeringEvent; // a look of its own has none, or says so
  if (pressed?.isConnected && (!asked || asked.type === "look") && detail.target.contains(pressed)) detail.shouldSwap = false;
}
document.addEventListener("htmx:beforeSwap", leaveAlone);
document.addEventListener("htmx:oobBeforeSwap", leaveAlone);

// A form is sent once, however often its button is pressed. Downloads and htmx's own forms are left alone.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post" || form.target || "again" in form.dataset) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
});
window.addEventListener("pageshow", () => each(document, "form[data-sent]", (form) => { delete form.dataset.sent; }));

// Who came from a list goes back to it as it was, filters and all.
const from = document.referrer ? new URL(document.referrer) : null;
each(document, ".crumbs a", (link) => {
  if (from?.origin === location.origin && from.pathname === new URL(link.href).pathname) link.search = from.search;
});

function dress(root) {
  showTimes(root);
  each(root, "[data-copy], [data-dismiss], [data-keys]", (button) => { button.hidden = false; });
  each(root, "[data-zone]", (field) => { field.value = -new Date().getTimezoneOffset(); }); // minutes ahead of UTC
  each(root, "[data-moment]", localMoment);
  each(root, "[data-focus]", (one) => one.focus());
  each(root, "form[data-send-at-once]", (form) => form.requestSubmit());
}
dress(document);

document.addEventListener("htmx:load", (event) => { if (event.detail.elt !== document.body) dress(event.detail.elt.parentElement ?? document); });
document.addEventListener("htmx:sendError", () => tell("The server can’t be reached. What you see may be old."));
