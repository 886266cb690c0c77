using System.Text.Json;
using AiAspire.Simulator.OpenAi;

namespace AiAspire.Unit.Simulation;

public sealed class EmbeddingAndModerationTests
{
    [Theory]
    [InlineData("How do I return a damaged lamp?", "Returning a lamp that arrived damaged", "The train to Lisbon leaves at nine")]
    [InlineData("reset my password", "I forgot my password and want to reset it", "shipping costs to Norway")]
    [InlineData("cancel the subscription", "how can I cancel my subscriptions", "the colour of the sea")]
    public void Similar_texts_lie_nearer_than_strange_ones(string text, string similar, string strange)
    {
        foreach (var dimensions in (int[])[256, 1536])
        {
            var vector = HashedEmbedding.Of(text, dimensions);
            Assert.Equal(1, Dot(vector, vector), 4);
            Assert.True(Dot(vector, HashedEmbedding.Of(similar, dimensions)) > 2 * Dot(vector, HashedEmbedding.Of(strange, dimensions)));
        }
    }

    [Fact]
    public async Task Numbers_and_base64_are_the_same_vector()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var numbers = await EmbedAsync(company, "the same text");
        var base64 = await EmbedAsync(company, "the same text", "base64");
        var floats = numbers.GetProperty("data")[0].GetProperty("embedding").EnumerateArray().Select(v => v.GetSingle()).ToArray();
        var bytes = base64.GetProperty("data")[0].GetProperty("embedding").GetBytesFromBase64();
        Assert.Equal(1536, floats.Length);
        Assert.Equal(floats, Enumerable.Range(0, floats.Length).Select(i => BitConverter.ToSingle(bytes, i * 4)));
        Assert.Equal(3, numbers.Usage("prompt_tokens"));
    }

    [Fact]
    public async Task Batches_keep_their_order_and_token_ids_mean_their_text()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var batch = await EmbedAsync(company, new[] { "a", "b", "a" });
        var data = batch.GetProperty("data").EnumerateArray().ToArray();
        Assert.Equal([0, 1, 2], data.Select(d => d.GetProperty("index").GetInt32()));
        Assert.Equal(data[0].GetProperty("embedding").GetRawText(), data[2].GetProperty("embedding").GetRawText());
        Assert.NotEqual(data[0].GetProperty("embedding").GetRawText(), data[1].GetProperty("embedding").GetRawText());
        var fromIds = await EmbedAsync(company, new[] { new[] { 64 }, new[] { 65 } });
        Assert.Equal(data[0].GetProperty("embedding").GetRawText(), fromIds.GetProperty("data")[0].GetProperty("embedding").GetRawText());
        var line = (await company.BillAsync(2))[0];
        Assert.Equal(batch.Usage("prompt_tokens"), line.Tokens("input"));
        Assert.Equal(0, line.Tokens("output"));
    }

    [Theory]
    [InlineData("""{"model":"sim-embedding","input":[]}""", "input")]
    [InlineData("""{"model":"sim-embedding","input":""}""", "input")]
    [InlineData("""{"model":"sim-embedding"}""", "input")]
    [InlineData("""{"model":"sim-embedding","input":"x","dimensions":0}""", "dimensions")]
    [InlineData("""{"model":"sim-embedding","input":"x","dimensions":4000}""", "dimensions")]
    [InlineData("""{"model":"sim-embedding","input":[[99999999]]}""", "input[0]")]
    [InlineData("""{"model":"sim-embedding","input":"x","encoding_format":"hex"}""", "encoding_format")]
    [InlineData("""{"model":"sim-large","input":"x"}""", "model")]
    public async Task A_bad_embedding_request_names_the_field(string body, string param)
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var error = await company.PostAsync("/v1/embeddings", new StringContent(body), 400);
        Assert.Equal(param, error.GetProperty("error").GetProperty("param").GetString());
    }

    [Fact]
    public async Task Moderation_flags_by_category_and_costs_nothing()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var reply = await company.PostAsync("/v1/moderations", new { model = "sim-moderation", input = new[] { "I will kill you", "I like cats", "how do I build a bomb" } });
        var results = reply.GetProperty("results").EnumerateArray().ToArray();

        Assert.Equal([true, false, true], results.Select(r => r.GetProperty("flagged").GetBoolean()));
        Assert.True(results[0].GetProperty("categories").GetProperty("violence").GetBoolean());
        Assert.True(results[0].GetProperty("categories").GetProperty("harassment/threatening").GetBoolean());
        Assert.True(results[2].GetProperty("categories").GetProperty("illicit/violent").GetBoolean());
        Assert.InRange(results[1].GetProperty("category_scores").GetProperty("violence").GetDouble(), 0, 0.01);
        Assert.Equal(13, results[0].GetProperty("category_scores").EnumerateObject().Count());
        var line = Assert.Single(await company.BillAsync(1));
        Assert.False(line.GetProperty("billed").GetBoolean());
        Assert.Equal("completed", line.GetProperty("status").GetString());
    }

    [Fact]
    public async Task Moderation_takes_parts_and_a_default_model()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        object[] parts = [new { type = "text", text = "he likes gore" }, new { type = "image_url", image_url = new { url = "https://example.com/a.png" } }];
        var reply = await company.PostAsync("/v1/moderations", new { input = parts });
        var result = Assert.Single(reply.GetProperty("results").EnumerateArray());
        Assert.Equal("sim-moderation", reply.GetProperty("model").GetString());
        Assert.True(result.GetProperty("flagged").GetBoolean());
        Assert.Equal("""["text","image"]""", result.GetProperty("category_applied_input_types").GetProperty("violence/graphic").GetRawText());
    }

    private static Task<JsonElement> EmbedAsync(SimulatedCompany company, object input, string format = "float")
        => company.PostAsync("/v1/embeddings", new { model = "sim-embedding", input, encoding_format = format });

    private static double Dot(float[] left, float[] right) => left.Zip(right, (a, b) => (double)a * b).Sum();
}
