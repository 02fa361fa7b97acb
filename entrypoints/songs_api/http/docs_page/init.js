'use strict';

// The page is served at two addresses (/docs and /api/v1/docs); each has its own openapi.json beside it.
SwaggerUIBundle({
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
