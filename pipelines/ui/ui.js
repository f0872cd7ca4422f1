"use strict";
// Sliders: without this file their form is sent by its button, and its number fields say the same.
const form = document.querySelector("form.sliders");
if (form) {
  let waiting, asked;
  const recount = async () => {
    asked?.abort();
    asked = new AbortController();
    const target = `/thresholds?${new URLSearchParams(new FormData(form))}`;
    try {
      const answer = await fetch(target, { signal: asked.signal });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const output of document.querySelectorAll("[data-count]")) {
        const other = fresh.querySelector(`[data-count="${output.dataset.count}"]`);
        if (other) output.textContent = other.textContent;
      }
      history.replaceState(null, "", target);
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  };
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(recount, 250); };
  for (const slider of form.querySelectorAll("input[type=range]")) {
    const box = form.elements[slider.dataset.for];
    slider.addEventListener("input", () => { box.value = slider.value; soon(); });
    box.addEventListener("input", () => { slider.value = box.value; soon(); });
  }
}
