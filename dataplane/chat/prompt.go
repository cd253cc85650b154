package chat

import "encoding/json"

// Prompt is a request in no protocol's words: what an upstream that speaks another protocol than the client builds its own
// request from. Text is as the client sent it, to the byte; numbers and schemas keep their text, because a changed digit or
// key order changes a prompt cache's prefix.
type Prompt struct {
	// Messages in the order of the conversation, none empty. System messages may stand anywhere; most protocols have them first.
	Messages []Message
	// Tools run at the client.
	Tools []Tool
	// ToolChoice says which of them must be called.
	ToolChoice ToolChoice
	// ParallelTools says whether one answer may call several tools; nil: not said.
	ParallelTools *bool
	// Format asks for JSON; nil: text.
	Format *Format
	// Reasoning is what the client said about it; nil: nothing.
	Reasoning *Reasoning
	// Search asks for the provider's web search; nil: none.
	Search *Search
	// MaxOutputTokens bounds the answer, reasoning included; 0: not said.
	MaxOutputTokens int64
	// Choices is how many answers are wanted, at least 1.
	Choices int64
	// Stop are the sequences that end an answer.
	Stop []string
	// Sampling. Numbers keep the client's text; empty: not said.
	Temperature, TopP, PresencePenalty, FrequencyPenalty json.Number
	// TopK and Seed; nil: not said.
	TopK, Seed *int64
	// Logprobs asks for log probabilities, TopLogprobs for how many alternatives of each token.
	Logprobs    bool
	TopLogprobs int64
	// LogitBias is OpenAI's object; nil: not said.
	LogitBias json.RawMessage
	// User is the end user's id in the client's own words.
	User string
	// Verbosity is OpenAI's low, medium or high; empty: not said.
	Verbosity string
	// Cache asks for cache breakpoints where the gateway thinks best: "5m", "1h"; empty: only where Parts and Tools say so.
	Cache string
	// Others are top-level parameters that the protocol has and Prompt has no place for, by the client's name, null ones left
	// out. An upstream that does not know one drops it by that name.
	Others []Parameter
}

// Parameter is one top-level parameter.
type Parameter struct {
	Name  string
	Value json.RawMessage
}

// Role is who speaks.
type Role string

// Roles. The results of tools are parts of a user message.
const (
	System    Role = "system" // OpenAI's developer, too
	User      Role = "user"
	Assistant Role = "assistant"
)

// Message is one turn.
type Message struct {
	Role  Role
	Parts []Part
	// Name is OpenAI's name of the participant; may be empty.
	Name string
}

// PartKind says which of a Part's fields count.
type PartKind string

// Kinds of parts.
const (
	// PartText has Text, and in answers Citations.
	PartText PartKind = "text"
	// PartRefusal has Text: the model's own words of refusing. Assistant only.
	PartRefusal PartKind = "refusal"
	// PartThought has Thought. Assistant only.
	PartThought PartKind = "thought"
	// PartImage and PartDocument have Media. User messages and results of tools.
	PartImage    PartKind = "image"
	PartDocument PartKind = "document"
	// PartCall has Call. Assistant only.
	PartCall PartKind = "call"
	// PartResult has Result. User messages only.
	PartResult PartKind = "result"
)

// Part is one piece of a message or of an answer.
type Part struct {
	Kind PartKind
	Text string
	// Signature is Gemini's thoughtSignature of a text part; empty: none.
	Signature string
	Citations []Citation
	Media     *Media
	Thought   *Thought
	Call      *ToolCall
	Result    *Result
	// Cache is a breakpoint of the prompt cache behind this part, and how long it is kept: "5m", "1h"; empty: none.
	Cache string
}

// Media is an image or a document: by URL or with its bytes.
type Media struct {
	// URL is http or https; empty: Base64 has the bytes.
	URL string
	// Type is the media type (image/png, application/pdf, text/plain); may be empty with a URL.
	Type string
	// Base64 is the standard encoding, as the client sent it.
	Base64 string
	// Text is a document that is plain text; then URL and Base64 are empty.
	Text string
	// Name is the file's name or the document's title; may be empty.
	Name string
	// Detail is OpenAI's low, high or auto; may be empty.
	Detail string
}

// Thought is reasoning, with what its maker needs to take it back unmodified.
type Thought struct {
	// Text is for people; may be empty.
	Text string
	// Signature (Anthropic's thinking, Gemini) or Encrypted (Anthropic's redacted_thinking, OpenAI's encrypted_content) is
	// opaque; at most one of them is set.
	Signature, Encrypted string
	// Format says whose it is: FormatAnthropic, ...; empty: not known. Signed thoughts never go to another's models.
	Format string
	// ID is OpenAI's id of a reasoning item; may be empty.
	ID string
}

// Formats of signed thoughts, as Vercel AI Gateway and OpenRouter name them in reasoning_details.
const (
	FormatAnthropic = "anthropic-claude-v1"
	FormatGemini    = "google-gemini-v1"
	FormatOpenAI    = "openai-responses-v1"
)

// ToolCall is a call of a tool.
type ToolCall struct {
	// ID is unique within the conversation.
	ID, Name string
	// Arguments is the JSON text of an object, as the model wrote it; it may be empty or broken in answers, never in prompts.
	Arguments string
	// Signature is Gemini's thoughtSignature of the call; empty: none.
	Signature string
	// Custom says that it is one of OpenAI's custom tools: Arguments is then free text.
	Custom bool
}

// Result is what a tool answered.
type Result struct {
	// ID is the call's; Name is its tool's, which the decoder looks up in the conversation.
	ID, Name string
	// Parts are texts, images and documents.
	Parts []Part
	// Failed says that the tool failed.
	Failed bool
}

// Tool runs at the client.
type Tool struct {
	Name, Description string
	// Schema of its arguments, as the client sent it; nil: it takes none.
	Schema json.RawMessage
	// Strict asks for arguments that follow the schema exactly; nil: not said.
	Strict *bool
	// Custom says that it takes free text; Grammar is then OpenAI's format object or nil.
	Custom  bool
	Grammar json.RawMessage
	// Cache is as in Part.
	Cache string
}

// ChoiceMode says which tools must be called.
type ChoiceMode string

// Modes.
const (
	ChooseAuto     ChoiceMode = "auto"
	ChooseNone     ChoiceMode = "none"
	ChooseRequired ChoiceMode = "required"
	ChooseTool     ChoiceMode = "tool"
)

// ToolChoice says which tools must, or may, be called.
type ToolChoice struct {
	// Mode is empty where the client said nothing.
	Mode ChoiceMode
	// Name of the one tool, in mode ChooseTool.
	Name string
	// Allowed narrows the tools to some of them (OpenAI's allowed_tools); nil: all.
	Allowed []string
}

// Format asks for JSON.
type Format struct {
	// Schema of the answer, as the client sent it; nil: any JSON object.
	Schema json.RawMessage
	// Name and Description of the schema; may be empty.
	Name, Description string
	// Strict asks that it is followed exactly; nil: not said.
	Strict *bool
}

// Reasoning is what a client says about it. Which of the fields a model obeys is for its adapter to know.
type Reasoning struct {
	// Off turns it off.
	Off bool
	// Effort is none, minimal, low, medium, high, xhigh or max; empty: not said.
	Effort string
	// Budget bounds the tokens of reasoning; 0: not said.
	Budget int64
	// Adaptive is Anthropic's thinking of type adaptive.
	Adaptive bool
	// Summary asks for a text of it that people can read: auto, concise, detailed, summarized, omitted; empty: not said.
	Summary string
}

// Search asks for the provider's web search.
type Search struct {
	// Forced says that it must be used.
	Forced bool
	// MaxUses bounds how often; 0: not said. Assumed says that the bound is the gateway's and no wish of the client's: an upstream
	// that has none drops nothing.
	MaxUses int64
	Assumed bool
	// AllowedDomains and BlockedDomains; at most one of them is set.
	AllowedDomains, BlockedDomains []string
	// ContextSize is OpenAI's low, medium or high; may be empty.
	ContextSize string
	// Location is where the user is: {"type":"approximate","city","region","country","timezone"}; nil: not said.
	Location json.RawMessage
}
