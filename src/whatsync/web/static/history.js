// The history's lists: live rows, selecting, keys, moments in the filters. Without it the page is a plain list.

import { keepFocus } from "./focus.js";

const rows = document.querySelector("[data-lines]") ?? document.createElement("tbody"); // an empty list has none
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const show = (one, yes) => { if (one) one.hidden = !yes; };

// With the arrow keys one passes many values: the one counts with which one goes on, or presses Enter.
function chooseOnce(select, act) {
  let passing = false;
  let passed = false;
  select.addEventListener("keydown", (event) => { passing = !event.altKey && ![" ", "Enter"].includes(event.key); });
  select.addEventListener("pointerdown", () => { passing = false; });
  select.addEventListener("change", () => { if (passing) passed = true; else act(); });
  select.addEventListener("blur", () => { if (passed) setTimeout(act); });
}

// Empty fields stay out of the address, so that it is short enough to share.
all("[data-filters]").forEach((form) => {
  form.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData.entries()]) if (value === "") formData.delete(name);
  });
  form.addEventListener("submit", keepFocus);
  all("[type=checkbox]", form).forEach((one) => one.addEventListener("change", () => form.requestSubmit()));
  all("select", form).forEach((one) => chooseOnce(one, () => form.requestSubmit()));
});

// Selecting.
const chosen = new Set();
const bar = document.getElementById("selected");
const boxes = () => all("input[name=ids]", rows);
function showChosen() {
  boxes().forEach((box) => { box.checked = chosen.has(box.value); });
  if (!bar) return;
  bar.classList.toggle("some", chosen.size > 0);
  bar.querySelector("[data-count]").textContent = chosen.size;
  all("button", bar).forEach((button) => { button.disabled = chosen.size === 0; });
  const every = document.querySelector("[data-all]");
  every.checked = chosen.size > 0 && boxes().every((box) => box.checked);
  every.indeterminate = chosen.size > 0 && !every.checked;
}
function choose(box, yes) {
  if (yes) chosen.add(box.value); else chosen.delete(box.value);
}
if (bar) {
  show(document.querySelector("[data-all]"), true);
  bar.classList.add("scripted");
  boxes().filter((box) => box.checked).forEach((box) => choose(box, true));
  let last = null;
  rows.addEventListener("click", (event) => {
    const box = event.target.closest("input[name=ids]");
    if (!box) return;
    const list = boxes();
    if (event.shiftKey && last?.isConnected) {
      const [from, to] = [list.indexOf(last), list.indexOf(box)].sort((a, b) => a - b);
      list.slice(from, to + 1).forEach((one) => choose(one, box.checked));
    }
    choose(box, box.checked);
    last = box;
    showChosen();
  });
  document.querySelector("[data-all]").addEventListener("change", (event) => {
    boxes().forEach((box) => choose(box, event.target.checked));
    showChosen();
  });
  showChosen();
}

// Keys: j and k go down and up, Enter opens, x selects, p pauses. The row they are at is remembered: focus may stand on
// its tick, or be lost with it.
let at = null; // the address its link leads to
const links = () => all("a.row", rows);
const here = () => links().find((link) => link.href === at);
rows.addEventListener("focusin", ({ target }) => { at = target.closest("tr")?.querySelector("a.row")?.href ?? null; });
document.addEventListener("pointerdown", ({ target }) => { if (!rows.contains(target)) at = null; });
function go(step) {
  const list = links();
  const from = list.indexOf(here());
  const next = list[from < 0 ? 0 : Math.max(0, Math.min(list.length - 1, from + step))];
  next?.focus();
  next?.closest("tr").scrollIntoView({ block: "nearest" });
}
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox]), textarea, select, dialog[open], [contenteditable]");
  if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
  const row = here()?.closest("tr");
  if (event.key === "j") go(1);
  else if (event.key === "k") go(-1);
  else if (event.key === "p") pause();
  else if (event.key === "Enter") {
    // Links and buttons open by themselves; a tick would send the form it belongs to.
    if (!row || event.target.closest("a, button, summary, input:not([name=ids])")) return;
    row.querySelector("a.row").click();
  } else if (event.key === "x") {
    const box = row?.querySelector("input[name=ids]");
    if (!box) return;
    choose(box, !chosen.has(box.value));
    showChosen();
  } else return;
  event.preventDefault();
});

// Live: what is new above the newest row, and rows on the screen that were not final.
const live = document.getElementById("live");
const freshButton = document.querySelector("[data-fresh]");
const pauseButton = document.querySelector("[data-pause]");
const KEPT = 300;
let paused = false;
let waiting = false;
function pause() {
  if (!pauseButton) return;
  paused = !paused;
  pauseButton.setAttribute("aria-pressed", String(paused));
  pauseButton.querySelector("span").textContent = paused ? "Go on" : "Pause";
  say(paused ? "Paused" : "Live");
  if (!paused) look();
}
function say(words) {
  document.querySelector("[data-live-words]").textContent = words;
  document.querySelector("[data-live-state]").classList.toggle("still", words !== "Live");
}
const away = () => scrollY > 320;
function look() {
  if (live && !paused && !waiting && !document.hidden) {
    waiting = true;
    htmx.trigger(live, "look");
  }
}
if (live) {
  show(pauseButton, true);
  show(document.querySelector("[data-live-state]"), true);
  pauseButton.addEventListener("click", pause);
  setInterval(look, 1000 * Number(live.dataset.seconds));
  document.addEventListener("visibilitychange", look);
  document.addEventListener("scroll", () => { if (!away() && !freshButton.hidden) look(); }, { passive: true });
  freshButton.addEventListener("click", () => { scrollTo({ top: 0 }); look(); });
  live.addEventListener("htmx:configRequest", ({ detail }) => {
    detail.parameters.after = rows.querySelector("tr")?.id ?? "none";
    detail.parameters.open = all("tr[data-open]", rows).slice(0, 25).map((row) => row.id).join(",");
  });
  live.addEventListener("htmx:afterRequest", ({ detail }) => {
    waiting = false;
    if (!paused) say(detail.successful ? "Live" : "No connection");
  });
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.requestConfig.elt !== live || detail.xhr.status !== 200) return;
    const part = document.createElement("template");
    part.innerHTML = detail.serverResponse;
    const fresh = all("tr:not([hx-swap-oob])", part.content);
    const hold = fresh.length > 0 && away();
    if (hold) {
      fresh.forEach((row) => row.remove());
      detail.serverResponse = part.innerHTML;
    }
    show(freshButton, hold);
    freshButton.querySelector("[data-fresh-words]").textContent = `${fresh.length}${fresh.length >= 50 ? "+" : ""} new`;
    if (fresh.length >= 50 && !hold) {
      detail.shouldSwap = false; // More has come than one look brings: nothing may be missing in between.
      location.reload();
    }
  });
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    if (detail.requestConfig?.elt !== live) return;
    showChosen();
    const list = all("tr", rows);
    list.slice(KEPT).forEach((row) => row.remove());
    if (list.length) {
      document.querySelector("[data-none]")?.remove();
      document.querySelector(".panel.list").removeAttribute("data-empty");
    }
  });
}
