import js from "@eslint/js";

export default [
  { ignores: ["dist/", "coverage/"] },
  js.configs.recommended,
  {
    languageOptions: {
      globals: { console: "readonly", process: "readonly", fetch: "readonly", URL: "readonly" },
    },
  },
];
