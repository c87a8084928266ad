"use strict";
// Mails are hostile: their texts become text nodes only, never markup.
const PAUSE_MS = 3000;
const list = document.getElementById("list");
const mail = document.getElementById("mail");
const search = document.getElementById("search");
const state = document.getElementById("state");
let messages = [];
let etag = "";

function element(name, text, properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text, ...properties });
}

function time(message) {
  return new Date(message.time).toLocaleString();
}

function matches(message) {
  const texts = [message.subject, message.to, message.sender, message.text].join("\n").toLowerCase();
  return search.value.toLowerCase().split(/\s+/).every((word) => texts.includes(word));
}

function showList() {
  const found = messages.filter(matches);
  const chosen = decodeURIComponent(location.hash.slice(1));
  list.replaceChildren(
    ...found.map((message) => {
      const link = element("a", "", { href: "#" + encodeURIComponent(message.id) });
      link.append(
        element("strong", message.subject || "(no subject)"),
        element("span", message.to),
        element("span", time(message)),
      );
      if (message.id === chosen) link.setAttribute("aria-current", "true");
      return link;
    }),
  );
  if (!found.length) {
    list.append(element("p", messages.length ? "No mail matches." : "No mail yet.", { className: "none" }));
  }
  state.textContent = search.value ? `${found.length} of ${messages.length}` : `${messages.length}`;
}

let shown = null;
function showMail() {
  const chosen = messages.find((message) => message.id === decodeURIComponent(location.hash.slice(1)));
  document.querySelector("main").classList.toggle("reading", chosen !== undefined);
  if (chosen === undefined) {
    shown = null;
    mail.replaceChildren(element("p", "Nothing leaves this machine: mails of the mesh are kept here.", { className: "none" }));
    return;
  }
  if (shown === chosen.id) return;
  shown = chosen.id;
  const fields = document.createElement("dl");
  for (const [name, value] of [["To", chosen.to], ["From", chosen.sender], ["At", time(chosen)]]) {
    fields.append(element("dt", name), element("dd", value));
  }
  mail.replaceChildren(
    element("a", "← All mails", { className: "back", href: "#" }),
    element("h2", chosen.subject || "(no subject)"),
    fields,
    element("pre", chosen.text),
  );
  mail.scrollTop = 0;
}

async function load() {
  try {
    const response = await fetch("messages", { headers: etag ? { "if-none-match": etag } : {}, cache: "no-store" });
    if (response.status === 304) return;
    if (!response.ok) throw new Error(String(response.status));
    etag = response.headers.get("etag") || "";
    messages = await response.json();
    showList();
    showMail();
  } catch {
    etag = "";
    state.textContent = "not reachable; trying again";
  }
}

async function follow() {
  if (!document.hidden) await load();
  setTimeout(follow, PAUSE_MS);
}

search.addEventListener("input", showList);
document.addEventListener("visibilitychange", () => document.hidden || load());
addEventListener("hashchange", () => {
  showList();
  showMail();
});
follow();
