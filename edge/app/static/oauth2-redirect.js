"use strict";
// Hands the answer of the authorization endpoint (RFC 6749, section 4.1.2) to the window of /docs that asked for it.

function asking() {
  try {
    return window.opener && window.opener.swaggerUIRedirectOauth2;
  } catch {
    return null; // that window shows another site by now
  }
}

function hand(request, answer) {
  if (answer.get("state") !== request.state) {
    return "This answer is for another sign-in. Choose Authorize again.";
  }
  // The first answer is the only one: a code that is used again ends the session.
  window.opener.swaggerUIRedirectOauth2 = undefined;
  if (!answer.get("code")) {
    return answer.get("error_description") || answer.get("error") || "The answer has no code.";
  }
  request.auth.code = answer.get("code");
  request.callback({ auth: request.auth, redirectUrl: request.redirectUrl });
  return "";
}

const request = asking();
if (request) {
  const message = hand(request, new URLSearchParams(location.search));
  if (message) {
    request.errCb({ authId: request.auth.name, source: "auth", level: "error", message });
  }
  window.close();
} else {
  document.getElementById("state").textContent = "No page waits for this sign-in. Choose Authorize there again.";
}
