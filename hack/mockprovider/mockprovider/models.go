package mockprovider

import "net/http"

// models is OpenAI's list, or Anthropic's to who speaks its version.
func (p *Provider) models(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Anthropic-Version") != "" {
		model := object{"type": "model", "id": "claude-mock", "display_name": "Claude Mock", "created_at": "2023-11-14T22:13:20Z"}
		writeJSON(w, http.StatusOK, object{"data": []any{model}, "has_more": false, "first_id": "claude-mock", "last_id": "claude-mock"})
		return
	}
	model := object{"id": "mock", "object": "model", "created": created, "owned_by": "mockprovider"}
	writeJSON(w, http.StatusOK, object{"object": "list", "data": []any{model}})
}

// geminiModels is Gemini's list.
func (p *Provider) geminiModels(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, object{"models": []any{object{
		"name": "models/gemini-mock", "version": "001", "displayName": "Gemini Mock", "inputTokenLimit": 1048576, "outputTokenLimit": 65536,
		"supportedGenerationMethods": []any{"generateContent", "countTokens"},
	}}})
}
