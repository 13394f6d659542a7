/** The one function we use of swagger-ui-dist, which ships no types. */
declare module "swagger-ui-dist/swagger-ui-bundle.js" {
  interface SwaggerOptions {
    domNode: Element;
    spec: unknown;
    validatorUrl: null;
    deepLinking: boolean;
    docExpansion: "list" | "full" | "none";
  }
  const SwaggerUIBundle: (options: SwaggerOptions) => unknown;
  export default SwaggerUIBundle;
}
