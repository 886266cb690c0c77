using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Caching;

/// <summary>Embeddings are kept item by item, of one user each.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class EmbeddingCacheTests(RunningApplication application) : CachedCallTests(application)
{
    [Fact]
    [Trait("Checklist", "ARCH-03")]
    public async Task Only_what_is_missing_is_sent_and_the_reply_is_in_order()
    {
        using var tenant = await AdministeredTenant.CreateAsync(Application);
        using var ann = tenant.As("ann");
        var (a, b, c) = (Text(), Text(), Text());
        using var plain = await EmbedAsync(ann, [a, b, c, a], use: "no-store");
        using var first = await EmbedAsync(ann, [a, b]);
        using var second = await EmbedAsync(ann, [c, b, c, a]);
        using var third = await EmbedAsync(ann, [a, c]);

        Assert.Equal((null, "miss", "partial", "hit"), (Cache(plain), Cache(first), Cache(second), Cache(third)));
        Assert.Equal(("0/2", "2/4", "2/2"), (first.Header("x-aiaspire-cached-items"), second.Header("x-aiaspire-cached-items"), third.Header("x-aiaspire-cached-items")));
        var (whole, mixed) = (await plain.JsonAsync(), await second.JsonAsync());
        Assert.Equal([Vector(whole, 2), Vector(whole, 1), Vector(whole, 2), Vector(whole, 0)], Enumerable.Range(0, 4).Select(i => Vector(mixed, i)));
        Assert.Equal([0, 1, 2, 3], mixed.GetProperty("data").EnumerateArray().Select(d => d.GetProperty("index").GetInt32()));

        // The usage is that of what was sent: one text, once, though it stands twice in the input.
        var one = await TokensAsync(await EmbedAsync(ann, [c], use: "no-store"));
        Assert.Equal((one, 0L), (Tokens(mixed), await TokensAsync(third)));
        Assert.Equal("0", third.Header("x-aiaspire-cost-usd"));

        await using var database = await Application.OpenSuperuserAsync();
        var rows = await database.ListAsync(
            $"SELECT cache_hit, input_tokens, charged_cost, saved_cost, attempts, model FROM aiaspire.ledger_requests WHERE tenant_id = '{tenant.Id}' ORDER BY request_id",
            row => (Hit: row.GetBoolean(0), Input: row.GetInt64(1), Charged: row.GetDecimal(2), Saved: row.GetDecimal(3), Attempts: row.GetInt32(4), Model: row.GetString(5)));
        Assert.Equal([(false, 1), (false, 1), (false, 1), (true, 0), (false, 1)], rows.Select(r => (r.Hit, r.Attempts)));
        Assert.Equal(one, rows[2].Input);
        // What was saved is what the kept ones had cost.
        Assert.Equal(rows[1].Charged, rows[2].Saved, precision: 9);
        Assert.True(rows[3].Saved > 0);
    }

    [Fact]
    [Trait("Checklist", "ARCH-03")]
    public async Task An_entry_is_of_its_dimensions_and_model_but_of_either_encoding()
    {
        using var tenant = await AdministeredTenant.CreateAsync(Application);
        using var ann = tenant.As("ann");
        var text = Text();
        using var numbers = await EmbedAsync(ann, [text]);
        using var base64 = await EmbedAsync(ann, [text], format: "base64");
        using var shorter = await EmbedAsync(ann, [text], dimensions: 16);
        // The same model under another name.
        var other = $"m-{Guid.CreateVersion7(TimeProvider.System.GetUtcNow()):n}";
        using (var put = await tenant.Operator.PutAsJsonAsync($"/v1/admin/models/{other}", new { provider = "sim-openai", upstream_model = "sim-embedding", kind = "embedding", vector_space = "sim-embedding" }, Cancelled))
            Assert.True(put.IsSuccessStatusCode, await put.Content.ReadAsStringAsync(Cancelled));
        using var renamed = await EmbedAsync(ann, [text], model: other);
        // And a provider's model of that space elsewhere: its vectors are its own until they are kept.
        using var elsewhere = await EmbedAsync(ann, [text], model: "embeddings-anywhere");

        Assert.Equal(("miss", "hit", "miss", "hit", "hit"), (Cache(numbers), Cache(base64), Cache(shorter), Cache(renamed), Cache(elsewhere)));
        var bytes = Convert.FromBase64String((await base64.JsonAsync()).GetProperty("data")[0].GetProperty("embedding").GetString()!);
        Assert.Equal(
            (await numbers.JsonAsync()).GetProperty("data")[0].GetProperty("embedding").EnumerateArray().Select(n => n.GetSingle()),
            System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(bytes).ToArray());
    }

    [Fact]
    [Trait("Checklist", "ARCH-03")]
    public async Task Of_equal_items_at_once_each_is_sent_once_however_the_requests_overlap()
    {
        using var tenant = await AdministeredTenant.CreateAsync(Application);
        using var ann = tenant.As("ann");
        (await EmbedAsync(ann, [Text()], use: "no-store")).Dispose();
        string[] texts = [.. Enumerable.Range(0, 6).Select(_ => Text())];

        // Each request has three of the six, in another order.
        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(i => EmbedAsync(ann, [texts[i % 6], texts[(i + 5) % 6], texts[(i + 2) % 6]])));

        Assert.All(answers, a => Assert.Equal(HttpStatusCode.OK, a.StatusCode));
        var (sent, alone) = (0L, 0L);
        foreach (var answer in answers)
            sent += Tokens(await answer.JsonAsync());
        foreach (var text in texts)
            alone += await TokensAsync(await EmbedAsync(ann, [text], use: "no-store"));
        Assert.Equal(alone, sent);
    }

    protected override Task<HttpResponseMessage> CallAsync(HttpClient client, string text) => EmbedAsync(client, [text]);

    private static string Vector(JsonElement reply, int index) => reply.GetProperty("data")[index].GetProperty("embedding").GetRawText();

    private static long Tokens(JsonElement reply) => reply.GetProperty("usage").GetProperty("prompt_tokens").GetInt64();

    private static async Task<long> TokensAsync(HttpResponseMessage response) => Tokens(await response.JsonAsync());

    private static Task<HttpResponseMessage> EmbedAsync(
        HttpClient client, string[] input, string model = "sim-embedding", string format = "float", int? dimensions = null, string use = "use")
    {
        var body = new Dictionary<string, object> { ["model"] = model, ["input"] = input, ["encoding_format"] = format };
        if (dimensions is not null)
            body["dimensions"] = dimensions;
        return PostAsync(client, "/v1/embeddings", body, use);
    }
}
