package verify

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// ErrFailed says that some check failed.
var ErrFailed = errors.New("checks failed")

// suite is Gateway or Upstream.
type suite func(context.Context, Options) (Report, error)

// NewCommand is `layers verify`.
func NewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Verify a gateway, or a provider, against everything that is promised",
	}
	cmd.AddCommand(newGatewayCommand(), newUpstreamCommand())
	return cmd
}

func newGatewayCommand() *cobra.Command {
	var o Options
	cmd := newSuite("gateway", "Verify a running gateway: keys, credits, limits, errors and what its models can do", &o, Gateway)
	cmd.Long = `Asks a Layers endpoint as its clients do: with and without good keys, for what it charges and limits, with requests
that are no good, and for each capability of its models in each protocol. The answers are paid for with the key's
credits. The address and the key may be in the environment: LAYERS_API_URL, LAYERS_API_KEY.`
	f := cmd.Flags()
	f.StringVar(&o.URL, "url", "", "the gateway's address; in place of LAYERS_API_URL")
	f.StringVar(&o.Key, "key", "", "an API key; in place of LAYERS_API_KEY, which other processes cannot see")
	f.StringArrayVar(&o.Models, "model", nil, "a model to verify, by public name; may be given several times; default: all that are listed and can be called, up to --max-models")
	f.IntVar(&o.MaxModels, "max-models", DefaultMaxModels, "how many models are verified where none is named")
	return cmd
}

func newUpstreamCommand() *cobra.Command {
	var o Options
	cmd := newSuite("upstream", "Verify a provider, asked directly through this build's adapters", &o, Upstream)
	cmd.Long = `Asks a provider for each capability of a model in each protocol, through the gateway's own translation and without
a gateway. The provider bills its key, which is in the environment: OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY,
PERPLEXITY_API_KEY, MORPH_API_KEY, AI_GATEWAY_API_KEY or VERCEL_AI_GATEWAY_KEY. A provider without a key is skipped.`
	f := cmd.Flags()
	f.StringArrayVar(&o.Providers, "provider", nil, "a provider to verify: "+providerNames()+"; may be given several times; default: all")
	f.StringArrayVar(&o.Models, "model", nil, "a model, by the provider's id; may be given several times, with one --provider; default: one that is known to have most capabilities")
	f.StringVar(&o.BaseURL, "base-url", "", "in place of the provider's own, with one --provider")
	return cmd
}

// newSuite has the flags that both suites share.
func newSuite(use, short string, o *Options, run suite) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return report(cmd, *o, run, asJSON) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Capabilities, "capability", nil, "what the models can do, in place of what is known: Streaming, Vision, Tools, JSON, Thinking, WebSearch, PromptCache")
	f.DurationVar(&o.Timeout, "timeout", DefaultTimeout, "how long one check may take")
	f.IntVar(&o.Parallel, "parallel", DefaultParallel, "how many checks of a model run at once")
	f.BoolVar(&asJSON, "json", false, "write one JSON object to stdout, and the summary to stderr")
	return cmd
}

// report runs a suite and prints what it found.
func report(cmd *cobra.Command, o Options, run suite, asJSON bool) error {
	if info, ok := debug.ReadBuildInfo(); ok {
		o.Version = info.Main.Version
	}
	found, err := run(cmd.Context(), o)
	if err != nil && len(found.Checks) == 0 {
		return err
	}
	write, summary := found.WriteTable, cmd.OutOrStdout()
	if asJSON {
		write, summary = found.WriteJSON, cmd.ErrOrStderr()
	}
	if err := write(cmd.OutOrStdout()); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(summary, found.Summary()); err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	if err != nil {
		return err
	}
	if found.Failed > 0 {
		return ErrFailed
	}
	return nil
}
