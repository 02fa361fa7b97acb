'use strict';

// The page is served at two addresses (/docs and /api/v1/docs); each has its own openapi.json beside it.
const ui = SwaggerUIBundle({
  url: new URL('openapi.json', window.location.href).href,
  dom_id: '#swagger-ui',
  deepLinking: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  // A token lives as long as the page: nothing is written to the browser's storage.
  persistAuthorization: false,
  // Without this a link such as /docs?url=... could show somebody else's document here.
  queryConfigEnabled: false,
  // The validator is a public service; null keeps the page offline.
  validatorUrl: null,
});

// Signing in here does what pasting an access_token under "Authorize" does.
const entry = document.getElementById('entry');
entry.addEventListener('submit', async (event) => {
  event.preventDefault();
  const told = document.getElementById('entered');
  const login = location.pathname.endsWith('/api/v1/docs') ? 'auth/login' : 'api/v1/auth/login';
  const { username, password } = Object.fromEntries(new FormData(entry));
  try {
    const response = await fetch(new URL(login, location.href), {
      method: 'POST',
      credentials: 'omit',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ username, password }),
    });
    // A proxy's error may have no detail, or be no JSON.
    const answer = (await response.json().catch(() => null)) ?? {};
    const reason = answer.detail ?? `The service answered ${response.status}.`;
    const wait = response.headers.get('Retry-After');
    if (!answer.access_token) throw new Error(reason + (wait ? ` Try again in ${wait} s.` : ''));
    ui.preauthorizeApiKey('bearer', answer.access_token);
    entry.elements.password.value = '';
    told.textContent = `Signed in as ${username}`;
  } catch (error) {
    told.textContent = error instanceof TypeError ? 'The service does not respond.' : error.message;
  }
});
