using System.Text.RegularExpressions;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Operations;

[Collection(ApplicationCollection.Name)]
[Trait("Checklist", "PRIV-05")]
public sealed class ReferencePageTests(RunningApplication application)
{
    [Fact]
    public async Task The_reference_page_runs_only_scripts_with_this_answers_nonce_and_loads_nothing_from_elsewhere()
    {
        using var client = application.Client(null);
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (var visit = 0; visit < 2; visit++)
        {
            using var page = await client.GetAsync("/scalar/v1", TestContext.Current.CancellationToken);
            var html = await page.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
            var policy = page.Header("Content-Security-Policy");
            var nonce = Regex.Match(policy, "'nonce-(?<nonce>[^']+)'", RegexOptions.NonBacktracking).Groups["nonce"].Value;
            Assert.True(seen.Add(nonce), "A nonce came twice.");
            var scripts = Regex.Matches(html, "<script[^>]*>", RegexOptions.NonBacktracking);
            Assert.NotEmpty(scripts);
            Assert.All(scripts, script => Assert.Contains($"nonce=\"{nonce}\"", script.Value, StringComparison.Ordinal));
            Assert.DoesNotContain("unsafe-eval", policy, StringComparison.Ordinal);
            Assert.DoesNotContain("https://", Regex.Replace(html, "<script type=\"module\".*", "", RegexOptions.Singleline | RegexOptions.NonBacktracking), StringComparison.Ordinal);
        }
    }
}
