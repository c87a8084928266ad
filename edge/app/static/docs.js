"use strict";
const page = document.currentScript.dataset;
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

const ui = SwaggerUIBundle({
  url: page.document,
  dom_id: "#swagger-ui",
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: true,
  oauth2RedirectUrl: page.redirect && new URL(page.redirect, location.href).href,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
});

if (page.redirect) {
  ui.initOAuth({ clientId: page.client, usePkceWithAuthorizationCodeGrant: true });
}

// The issuer returns to its own URL only: localhost and 127.0.0.1 are different ones.
const issuers = page.issuer && new URL(page.issuer + location.search + location.hash);
if (issuers && issuers.origin !== location.origin) {
  const link = Object.assign(document.createElement("a"), { href: issuers.href, textContent: page.issuer });
  const note = document.createElement("p");
  note.className = "note";
  note.append("To sign in, open this page at ", link, ": the issuer of tokens returns there.");
  document.getElementById("swagger-ui").before(note);
}
