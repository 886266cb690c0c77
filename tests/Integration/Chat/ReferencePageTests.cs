using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using AiAspire.Integration.Jobs;

namespace AiAspire.Integration.Chat;

/// <summary>What a stranger meets first: the printed address in a browser, and the requests that the page has them try.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class ReferencePageTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_root_leads_to_the_page()
    {
        using var nobody = application.Client(null);
        using var page = await nobody.GetAsync("/", Cancelled);
        Assert.Equal((HttpStatusCode.OK, "text/html"), (page.StatusCode, page.Content.Headers.ContentType?.MediaType));
    }

    [Fact]
    public async Task The_examples_of_the_document_work_as_they_stand_and_their_answers_are_described()
    {
        using var client = application.Developer();
        var document = await client.GetFromJsonAsync<JsonElement>("/openapi/v1.json", Cancelled);
        // Not that of embeddings: the first model for them is, in these tests, one that is down.
        foreach (var path in new[] { "/v1/chat/completions", "/v1/moderations", "/v1/jobs" })
        {
            var operation = document.GetProperty("paths").GetProperty(path).GetProperty("post");
            var example = operation.GetProperty("requestBody").GetProperty("content").GetProperty("application/json").GetProperty("example");
            using var answer = await client.PostAsJsonAsync(path, example, Cancelled);
            Assert.True(answer.IsSuccessStatusCode, $"{path} with {example} gives {(int)answer.StatusCode}.");
            Assert.True(
                operation.GetProperty("responses").GetProperty(((int)answer.StatusCode).ToString(System.Globalization.CultureInfo.InvariantCulture)).TryGetProperty("content", out var content)
                    && content.TryGetProperty("application/json", out _),
                $"The document does not say what {path} answers.");
            if (path == "/v1/jobs")
                await client.OverAsync((await answer.JsonAsync()).GetProperty("id").GetGuid(), application);
        }

        Assert.DoesNotContain(TypeOf("JobRequest", "priority").EnumerateArray(), t => t.GetString() == "string");
        // They have a converter of their own, behind which the document's generator does not look.
        Assert.Equal("number", TypeOf("TopUser", "cost").GetString());
        Assert.Equal(["null", "number"], TypeOf("TopUser", "provider_cost").EnumerateArray().Select(t => t.GetString()).Order());

        JsonElement TypeOf(string schema, string field)
            => document.GetProperty("components").GetProperty("schemas").GetProperty(schema).GetProperty("properties").GetProperty(field).GetProperty("type");
    }
}
