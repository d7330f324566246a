// What the endpoint's form gains from JavaScript: long lists of numbers can be searched.

const search = (field) => {
  const list = document.getElementById(field.dataset.pickSearch);
  const wanted = field.value.trim().toLowerCase();
  list.querySelectorAll(".choice").forEach((choice) => {
    choice.hidden = !choice.querySelector("input").checked && !choice.textContent.toLowerCase().includes(wanted);
  });
};

document.querySelectorAll("[data-pick-search]").forEach((field) => {
  field.hidden = false;
  field.addEventListener("input", () => search(field));
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
});
