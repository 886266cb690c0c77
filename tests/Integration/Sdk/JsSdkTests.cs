using AiAspire.Integration.Application;

namespace AiAspire.Integration.Sdk;

/// <summary>
/// The official OpenAI SDK for JavaScript, unmodified but for its base address, with a model of each wire that a provider may speak. The
/// cases are JavaScript (<c>Js/cases</c>); they hold every object and every chunk to what OpenAI's API reference promises of it.
/// </summary>
[Collection(ApplicationCollection.Name)]
public sealed class JsSdkTests(JsSdk sdk) : IClassFixture<JsSdk>
{
    private static readonly string[] Areas =
        ["chat", "streaming", "structured output", "tools", "embeddings", "moderations", "models", "errors", "idempotency", "batches"];

    [Fact]
    public void Chat() => AssertPassed("chat");

    [Fact]
    public void Streams() => AssertPassed("streaming");

    [Fact]
    public void Structured_output() => AssertPassed("structured output");

    [Fact]
    public void Tools() => AssertPassed("tools");

    [Fact]
    public void Embeddings() => AssertPassed("embeddings");

    [Fact]
    [Trait("Checklist", "MOD-03")]
    public void Moderations() => AssertPassed("moderations");

    [Fact]
    public void Models() => AssertPassed("models");

    [Fact]
    [Trait("Checklist", "COST-06")]
    [Trait("Checklist", "COST-07")]
    public void Errors() => AssertPassed("errors");

    [Fact]
    [Trait("Checklist", "ARCH-04")]
    public void Idempotency() => AssertPassed("idempotency");

    [Fact]
    [Trait("Checklist", "ARCH-01")]
    public void Files_and_batches() => AssertPassed("batches");

    [Fact]
    public void There_is_no_other_area() => Assert.Equal(Areas.Order(StringComparer.Ordinal), sdk.Cases.Select(c => c.Area).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal));

    private void AssertPassed(string area)
    {
        var cases = sdk.Cases.Where(c => c.Area == area).ToList();
        var failed = cases.Where(c => !c.Ok).Select(c => $"{c.Name}: {c.Error}").ToList();

        Assert.NotEmpty(cases);
        Assert.True(failed.Count == 0, $"{failed.Count} of {cases.Count} cases failed.\n{string.Join("\n\n", failed)}");
    }
}
