using System.Net;
using System.Net.Http.Json;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Caching;

/// <summary>What holds of the cache whatever kind of call it answers.</summary>
public abstract class CachedCallTests(RunningApplication application)
{
    protected static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    protected RunningApplication Application { get; } = application;

    [Fact]
    [Trait("Checklist", "ARCH-03")]
    [Trait("Checklist", "AUTH-05")]
    public async Task Neither_another_user_nor_another_tenant_meets_the_entry()
    {
        using var tenant = await AdministeredTenant.CreateAsync(Application);
        using var other = await AdministeredTenant.CreateAsync(Application);
        using var ann = tenant.As("ann");
        using var bea = tenant.As("bea");
        using var stranger = other.As("ann");
        var text = Text();
        (await CallAsync(ann, text)).Dispose();

        using var own = await CallAsync(ann, text);
        using var byAnother = await CallAsync(bea, text);
        using var byStranger = await CallAsync(stranger, text);

        Assert.Equal(("hit", "miss", "miss"), (Cache(own), Cache(byAnother), Cache(byStranger)));
    }

    [Fact]
    public async Task An_administrator_forgets_what_the_tenant_has_in_the_cache()
    {
        using var tenant = await AdministeredTenant.CreateAsync(Application);
        using var ann = tenant.As("ann");
        var text = Text();
        (await CallAsync(ann, text)).Dispose();

        using var forgotten = await tenant.Operator.DeleteAsync(tenant.Path("cache"), Cancelled);
        using var after = await CallAsync(ann, text);

        Assert.Equal((HttpStatusCode.NoContent, "miss"), (forgotten.StatusCode, Cache(after)));
    }

    /// <summary>A call that may be answered from the cache.</summary>
    protected abstract Task<HttpResponseMessage> CallAsync(HttpClient client, string text);

    /// <summary>What nobody has asked before.</summary>
    protected static string Text() => $"Tell me of {Guid.CreateVersion7(TimeProvider.System.GetUtcNow())} in a sentence.";

    /// <summary>What the cache had to do with a response; null: it was not asked.</summary>
    protected static string? Cache(HttpResponseMessage response)
        => response.Headers.TryGetValues("x-aiaspire-cache", out var values) ? values.Single() : null;

    protected static async Task<HttpResponseMessage> PostAsync(HttpClient client, string path, object body, string? use, string? feature = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = JsonContent.Create(body) };
        if (feature is not null)
            request.Headers.Add("X-AiAspire-Feature", feature);
        if (use is not null)
            request.Headers.Add("X-AiAspire-Cache", use);
        return await client.SendAsync(request, Cancelled);
    }
}
