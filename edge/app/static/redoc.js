"use strict";
const page = document.currentScript.dataset;
const dark = matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => location.reload());

const DARK = {
  colors: {
    primary: { main: "#7db7ff" },
    text: { primary: "#dfe3e8", secondary: "#a3abb5" },
    border: { dark: "#3d444d", light: "#2c323a" },
    success: { main: "#6fcf7c" },
    error: { main: "#ff8f85" },
    responses: {
      success: { color: "#6fcf7c", backgroundColor: "#1f2d22" },
      error: { color: "#ff8f85", backgroundColor: "#332123" },
    },
  },
  schema: { nestedBackground: "#22272e", typeNameColor: "#a3abb5", typeTitleColor: "#a3abb5", linesColor: "#4a5563" },
  sidebar: { backgroundColor: "#15181c", textColor: "#dfe3e8", activeTextColor: "#7db7ff" },
  rightPanel: { backgroundColor: "#101317" },
  codeBlock: { backgroundColor: "#1b1e23" },
  typography: { code: { color: "#ffb199", backgroundColor: "#2c323a" }, links: { color: "#7db7ff" } },
};

const options = {
  theme: dark.matches ? DARK : {},
  downloadDefinitionUrl: document.querySelector("link[rel=service-desc]").href, // the complete document
};
Redoc.init(page.document, options, document.getElementById("redoc"));
