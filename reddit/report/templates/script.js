"use strict";
const viewers = [...document.querySelectorAll(".viewer")];

function move(input) {
  input.parentElement.style.setProperty("--at", input.value + "%");
}

function show(viewer, side, label) {
  for (const image of viewer.querySelectorAll("img"))
    image.classList.toggle(side, image.dataset.label === label);
  viewer.querySelector(".tag." + side).textContent = label;
  if (side === "right")
    for (const button of viewer.parentElement.querySelectorAll("button[data-right]"))
      button.setAttribute("aria-pressed", String(button.dataset.right === label));
}

function showEverywhere(choice) {
  for (const side of ["left", "right"])
    if (side in choice) for (const viewer of viewers) show(viewer, side, choice[side]);
}

function sort(order) {
  const [key, direction] = order.split(" ");
  const cards = document.getElementById("cards");
  const name = card => card.querySelector("h3").firstChild.textContent;
  const number = card => key in card.dataset ? direction * card.dataset[key] : Infinity;
  const inOrder = (a, b) => a.dataset.number - b.dataset.number;
  cards.append(...[...cards.children].sort((a, b) =>
    key === "name" ? name(a).localeCompare(name(b), "en", {numeric: true})
      : number(a) === number(b) ? inOrder(a, b) : number(a) - number(b)));
}

document.addEventListener("input", event => {
  if (event.target.closest(".viewer")) move(event.target);
  if (event.target.id === "all")
    for (const viewer of viewers) {
      const input = viewer.querySelector("input");
      input.value = event.target.value;
      move(input);
    }
});
document.addEventListener("change", event => {
  if (event.target.type === "radio") showEverywhere(event.target.dataset);
  if (event.target.id === "right") showEverywhere({right: event.target.value});
  if (event.target.id === "sort") sort(event.target.value);
});
document.addEventListener("click", event => {
  const button = event.target.closest("button[data-right]");
  if (button) show(button.closest(".card").querySelector(".viewer"), "right", button.dataset.right);
});

// A browser that reloads a page may keep the last choices.
for (const radio of document.querySelectorAll("input[type=radio]:checked")) showEverywhere(radio.dataset);
const right = document.getElementById("right"), order = document.getElementById("sort");
if (right) showEverywhere({right: right.value});
if (order) sort(order.value);
for (const viewer of viewers) move(viewer.querySelector("input"));
