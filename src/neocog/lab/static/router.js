// Which page is shown: the address says, and with it everything that was chosen on the page.

import { html } from "./dom.js";
import { exports } from "./export.js";

/** Show these pages; `first` is the address, such as #/plane?stride=2, where the browser's has none. */
export function start(pages, first = "") {
  const main = document.getElementById("main"), nav = document.getElementById("pages");
  let shown = null;

  nav.append(...pages.map((page) => html("a", { href: `#/${page.id}` }, page.name)));

  /** The page and the state that the address names; values have the type of the defaults. */
  function read() {
    const [id, query] = (location.hash || first).replace(/^#\/?/, "").split("?");
    const page = pages.find((one) => one.id === id);
    const state = { ...page?.defaults };
    for (const [name, value] of new URLSearchParams(query)) {
      if (!(name in state)) continue;
      const given = typeof state[name] === "number" ? Number(value) : value;
      if (!Number.isNaN(given)) state[name] = given;
    }
    return { page, state };
  }

  /** Change some of the state: the address follows, without a step in the history for every move. */
  function set(change) {
    Object.assign(shown.state, change);
    history.replaceState(null, "", `#/${shown.page.id}${query() ? `?${query()}` : ""}`);
    shown.waiting ??= requestAnimationFrame(() => {
      shown.waiting = null;
      shown.update(shown.state);
    });
  }

  /** What was chosen, as an address has it. */
  function query() {
    const own = Object.entries(shown.state).filter(([name, value]) => value !== shown.page.defaults[name]);
    return new URLSearchParams(own).toString();
  }

  function show() {
    if (shown?.waiting) cancelAnimationFrame(shown.waiting);
    const { page, state } = read();
    for (const link of nav.children) {
      if (page && link.hash === `#/${page.id}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = page ? `${page.title} · Neocog lab` : "Neocog lab";
    main.replaceChildren();
    if (!page) {
      main.append(html("h1", {}, "See convolution move"),
        html("p", { class: "idea" }, "Every number here is computed in front of you, and held beside what the library gives."),
        html("ul", { class: "cards" }, pages.map((one) => html("li", {},
          html("a", { href: `#/${one.id}` }, html("strong", {}, one.title), html("span", {}, one.idea))))));
      shown = null;
      return;
    }
    const body = html("div");
    main.append(html("h1", {}, page.title), html("p", { class: "idea" }, page.idea), body, exports(page, body, query));
    shown = { page, state, waiting: null };
    shown.update = page.mount(body, state, set);
    shown.update(state);
  }

  addEventListener("resize", () => shown && set({})); // pictures may fit the width
  addEventListener("hashchange", () => { show(); main.focus(); });
  show();
}
