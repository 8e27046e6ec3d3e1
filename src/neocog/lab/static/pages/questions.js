// Questions across the ladder, each with an explanation and a page on which the answer can be seen.

import { saved } from "../api.js";
import { html } from "../dom.js";
import QUESTIONS from "../questions.js";

/** Which option was chosen for each question; null: none yet. */
function chosen(text) {
  return QUESTIONS.map(({ options }, i) => (/\d/.test(text[i] ?? "") && Number(text[i]) < options.length ? Number(text[i]) : null));
}

export default {
  id: "questions",
  alone: true,
  drawn: false,
  name: "Questions",
  title: "Questions across the ladder",
  idea: `${QUESTIONS.length} questions. The first answer counts; each comes with a reason, and with a page on which it can be seen.`,
  defaults: { at: 1, answers: "" },

  mount(body, first, set) {
    const score = html("p", { class: "sum", role: "status" }), card = html("div", { class: "question" });
    const places = QUESTIONS.map((one, i) => html("button", { type: "button", onclick: () => set({ at: i + 1 }) }, String(i + 1)));
    const previous = html("button", { type: "button", onclick: () => set({ at: now - 1 }) }, "← Previous");
    const next = html("button", { type: "button", onclick: () => set({ at: now + 1 }) }, "Next →");
    const again = html("button", { type: "button", onclick: () => set({ at: 1, answers: "" }) }, "Start again");
    body.append(score, html("div", { class: "places", role: "group", "aria-label": "Questions" }, places), card,
      html("div", { class: "controls" }, previous, next, again));
    let now = 0, answers = [], parts = null;

    function answer(option) {
      if (answers[now - 1] !== null) return;
      const text = answers.map((one, i) => (i === now - 1 ? option : one) ?? "-").join("");
      set({ answers: text.replace(/-+$/, "") });
    }

    function ask(at) {
      const { rung, ask: question, options } = QUESTIONS[at - 1];
      const buttons = options.map((text, i) => html("button", { type: "button", "data-option": i, onclick: () => answer(i) }, html("span", {}, text)));
      const why = html("div", { "aria-live": "polite" });
      card.replaceChildren(html("p", { class: "muted" }, `${at} of ${QUESTIONS.length} · ${rung}`), html("h2", {}, question),
        html("ul", { class: "options" }, buttons.map((button) => html("li", {}, button))), why);
      return { at, buttons, why, told: false };
    }

    return (state) => {
      now = Math.max(1, Math.min(QUESTIONS.length, Math.round(state.at)));
      answers = chosen(state.answers);
      if (parts?.at !== now || (parts.told && answers[now - 1] === null)) parts = ask(now);
      show(parts, QUESTIONS[now - 1], answers[now - 1]);
      const given = answers.filter((one) => one !== null).length;
      const right = answers.filter((one, i) => one === QUESTIONS[i].right).length;
      score.textContent = given ? `${right} right of ${given} answered; ${QUESTIONS.length - given} to go.` : "None answered yet.";
      places.forEach((place, i) => {
        const how = answers[i] === null ? "open" : answers[i] === QUESTIONS[i].right ? "right" : "wrong";
        place.dataset.state = how;
        place.setAttribute("aria-label", `Question ${i + 1}, ${how}`);
        if (i === now - 1) place.setAttribute("aria-current", "true");
        else place.removeAttribute("aria-current");
      });
      previous.setAttribute("aria-disabled", now === 1);
      next.setAttribute("aria-disabled", now === QUESTIONS.length);
    };
  },
};

function show(parts, { right, why, see }, answer) {
  if (answer === null || parts.told) return;
  parts.told = true;
  parts.buttons.forEach((button, i) => {
    button.setAttribute("aria-disabled", true);
    if (i !== right && i !== answer) return;
    button.dataset.state = i === right ? "right" : "wrong";
    button.append(html("span", { class: "mark" }, i === right ? "✓ right" : "✗ your answer"));
  });
  parts.why.append(html("p", { class: "notice" }, html("strong", {}, answer === right ? "Right. " : "Not quite. "), why, " ", saved === null ? html("a", { href: `#/${see}` }, "See it") : ""));
}
