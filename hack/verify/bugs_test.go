package verify

import (
	"go/ast"
	"path"
	"strings"
	"testing"
)

// A bug of another gateway's that must not be one here.
type bug struct {
	what string
	// of is where it was reported.
	of string
	// tests are the tests that fail where it is one here: folder, a space, name.
	tests []string
	// why there is no test yet; empty where there are tests.
	why string
}

// unsold is why bugs of payments have no test: nothing can be bought here yet.
const unsold = "a matter of payments, which are not there yet: credits come by grants alone"

// bugs are what people lost money by elsewhere.
var bugs = []bug{
	{"check-then-deduct overspends under concurrency", "one-api#2440, bifrost#3547", []string{
		"dataplane/ledger TestCheckThenDeductDoesNotOverspend", "dataplane/admit TestHoldsAreNeverOverspent", "dataplane/admit TestCreditsAreNeverOverspent",
	}, ""},
	{"replicas seed a counter by increment", "litellm#28247", []string{"dataplane/admit TestReplicasDoNotSeedACounterByIncrement"}, ""},
	{"pop before commit loses spend", "litellm#33872", []string{"dataplane/settle/reap TestPopBeforeCommitLosesSpend"}, ""},
	{"a client disconnect bills nothing, or everything", "litellm#33736, litellm#37992, new-api#5288, new-api#7062", []string{
		"dataplane/server TestReceiptsTellHowLeavingEnded", "dataplane/server TestLeavingStopsBilling", "dataplane/server TestDisconnect",
		"dataplane/server TestDisconnectWithoutRoom", "dataplane/server TestUnaryDisconnect",
	}, ""},
	{"explicit zero usage is billed by an estimate", "litellm#37992", []string{
		"dataplane/server TestExplicitZeroUsageIsReported", "dataplane/settle/reap TestExplicitZeroUsageBilledByEstimate",
	}, ""},
	{"a fallback to a dearer model is not checked again", "litellm#41379", []string{"dataplane/server TestFallbackToADearerBackend"}, ""},
	{"worst-case holds block agents", "litellm#38647", []string{"dataplane/server TestWorstCaseHoldsDoNotBlockAgents"}, ""},
	{"an estimate above the bucket is refused for ever", "litellm#28805", []string{"dataplane/admit TestLargestRequestPasses"}, ""},
	{"concurrency slots leak", "litellm#27955", []string{"dataplane/gateway TestConcurrencySlotsDoNotLeak"}, ""},
	{"limits multiply by replicas", "litellm#27736", []string{"dataplane/gateway TestLimitsDoNotMultiplyByReplicas", "dataplane/admit TestLimitHoldsOverReplicas"}, ""},
	{"revoked keys go on working", "litellm#9820, litellm#25553", []string{
		"dataplane/server TestRevoked", "dataplane/admit TestRevokedKeyIsRefusedByTheNextRequest", "dataplane/keys TestRevokeKilled", "dataplane/keys TestRevokeWhileRedisIsLost",
	}, ""},
	{"an unpriced model costs nothing", "litellm#35914", []string{"controllers/compile TestUnpricedModelIsNotServed", "dataplane/server TestUnpricedNeeds"}, ""},
	{"a slow Redis hangs every request", "litellm#35273", []string{"dataplane/admit/failover TestSlowRedisHangsNobody", "dataplane/admit/failover TestSlowRealRedisHangsNobody"}, ""},
	{"a refund in a goroutine that nobody waits for", "new-api", []string{"dataplane/settle/reap TestRefundInAFireAndForgetGoroutine", "dataplane/ledger TestRefundIsPostedOnce"}, ""},
	{"a paid session is acknowledged without credit", "Laisky/one-api#355", nil, unsold},
	{"a disputed payment is not clawed back", "elizaOS/eliza#10920", nil, unsold},
	{"a top-up is charged two or three times", "akash-network/console#3449", nil, unsold},
}

// TestBugsOfOthers: each bug has tests that are there, or a reason why it has none.
func TestBugsOfOthers(t *testing.T) {
	have := map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				have[path.Dir(s.path)+" "+f.Name.Name] = true
			}
		}
	}
	for _, b := range bugs {
		if (len(b.tests) == 0) == (b.why == "") {
			t.Errorf("%s (%s) has either tests or a reason", b.what, b.of)
		}
		for _, name := range b.tests {
			if !have[name] {
				t.Errorf("%s (%s): there is no test %s", b.what, b.of, name)
			}
		}
	}
}
