// What the pages on trained models share: which runs there are, which picture is looked at, its marks.

import { ask } from "./api.js";
import { choice, html } from "./dom.js";

const MOST_BYTES = 20 * 2 ** 20;
let own = null; // the picture that was uploaded, while this page is open
let marks = null;

/** The update of a page that has to ask the server first what is on it: `ready` promises the real one. */
export function later(body, state, ready) {
  let update = () => {};
  ready().then((made) => {
    update = made;
    update(state);
  }).catch((error) => {
    if (error.name !== "AbortError") body.append(html("p", { class: "notice", role: "alert" }, error.message));
  });
  return (now) => {
    state = now;
    update(now);
  };
}

/** The runs of a task, or all that left records; without one, the page says in `body` how to get one. */
export async function runsFor(body, task, what) {
  const all = await ask("runs", undefined, `runs-${task}`);
  const found = all.filter((run) => (task ? run.task === task && !run.here : !run.here));
  if (!found.length) {
    body.replaceChildren(html("p", { class: "notice" }, `There is no ${what} here: train one with `,
      html("code", {}, "neocog compare --out runs/first"), " and open it with ", html("code", {}, "neocog lab runs/first"), "."));
  }
  return found;
}

/** A list of pictures to choose from, with a button to upload another; `more` are choices of the page itself. */
export async function pictures(state, set, more = []) {
  const listed = await ask("pictures", undefined, "pictures");
  const options = [...more, ...listed.map((one) => [one.id, one.name])];
  const select = choice("picture", own ? [...options, ["own", own.name]] : options, state.picture, (value) => set({ picture: value }));
  let version = 0;
  const file = html("input", {
    type: "file", accept: "image/png,image/jpeg,image/webp,image/bmp,image/tiff", class: "visually-hidden", tabindex: -1, "aria-hidden": "true",
    onchange: () => {
      if (!file.files.length) return;
      own = file.files[0];
      let option = select.querySelector("option[value=own]");
      if (!option) select.querySelector("select").append(option = html("option", { value: "own" }));
      option.textContent = own.name;
      version += 1;
      set({ picture: "own" });
    },
  });
  const field = html("div", { class: "together" }, select, html("button", { type: "button", onclick: () => file.click() }, "Upload a picture"), file);
  return {
    field,
    /** What names the chosen picture: it changes with the picture. */
    key: (picture) => (picture === "own" ? `own-${version}` : picture),
    /** The chosen picture as a Blob. */
    async blob(picture) {
      if (picture === "own" && own) {
        if (own.size > MOST_BYTES) throw new Error("the picture is larger than 20 MB");
        return own;
      }
      const id = listed.some((one) => one.id === picture) ? picture : listed[0].id;
      return (await fetch(`/api/v1/pictures/${id}`)).blob();
    },
    /** Names of the classes in the truth of its pixels; none if there is no truth. */
    classes: (picture) => listed.find((one) => one.id === picture)?.classes ?? [],
    show: (picture) => select.show(picture),
  };
}

/** A picture as an address for <image>, and its size. */
export async function shown(blob) {
  const address = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
  } catch {
    return { address: "", width: 1, height: 1 }; // a TIFF, which browsers do not show; the server says what is wrong with others
  }
  return { address, width: image.naturalWidth, height: image.naturalHeight };
}

/** The colour of a class on pictures: as the library draws it. */
export function mark(label) {
  marks ??= getComputedStyle(document.documentElement).getPropertyValue("--marks").trim().split(" ");
  return marks[label % marks.length];
}

/** Milliseconds, as the pages write them. */
export function milliseconds({ prepare, network, decode }) {
  const parts = [prepare, network, decode].map((one) => one.toFixed(1));
  return `${(prepare + network + decode).toFixed(1)} ms: picture ${parts[0]}, network ${parts[1]}, answer ${parts[2]}`;
}
