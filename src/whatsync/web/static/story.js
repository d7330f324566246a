// A delivery's or job's page: counts down to the next try, and keeps what was opened open when the page looks again.

const counting = () => document.querySelectorAll("[data-countdown]").forEach((time) => {
  const seconds = Math.ceil((Date.parse(time.dateTime) - Date.now()) / 1000);
  if (seconds <= 0) { time.textContent = "now"; return; }
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const words = hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
  time.textContent = `in ${words}`;
});
counting();
setInterval(counting, 1000);

const opened = new Map();
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  detail.target?.querySelectorAll("details[id]").forEach((one) => opened.set(one.id, one.open));
  // Somebody is just about to answer a question: the next look comes soon enough.
  if (detail.target?.querySelector("dialog[open]")) detail.shouldSwap = false;
});
document.addEventListener("htmx:afterSwap", () => {
  for (const [id, open] of opened) {
    const one = document.getElementById(id);
    if (one) one.open = open;
  }
  counting();
});
document.addEventListener("htmx:configRequest", (event) => {
  if (document.hidden && !event.detail.triggeringEvent) event.preventDefault();
});
