using System.Net;
using System.Text;
using System.Text.Json;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Jobs;

[Collection(ApplicationCollection.Name)]
public sealed class JobEventTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "ARCH-01")]
    public async Task Tokens_come_while_the_job_runs_and_a_listener_who_comes_back_misses_and_repeats_none()
    {
        var text = string.Join(' ', Enumerable.Range(0, 120).Select(i => $"word{i}"));
        await using var slow = await application.BehaveAsync("sim-small", new { tokensPerSecond = 100 });
        using var client = application.Developer();
        var id = await client.QueueChatAsync($"say exactly: {text}", "sim-small", stream: true);

        // Leaves after two rows of tokens, in the middle of the answer.
        var first = await FollowAsync(client, id, null, events => events.Count(e => e.Kind == "tokens") == 2);
        Assert.Equal("running", (await client.JobAsync(id)).Status());
        var rest = await FollowAsync(client, id, first[^1].Id, _ => false);

        Assert.All(first.Concat(rest).Where(e => e.Kind == "state" && e.Id is null), e => Assert.Contains(e.Data.Status(), new[] { "queued", "running" }));
        Assert.Equal(text, string.Concat(first.Concat(rest).Where(e => e.Kind == "tokens").Select(TextOf)));
        var end = rest[^1];
        Assert.Equal(("end", "state", "succeeded"), (end.Id, end.Kind, end.Data.Status()));
        Assert.Equal(text, end.Data.GetProperty("result").Content());

        // All of it again for one who comes late, and nothing for one who has it all.
        var late = await FollowAsync(client, id, null, _ => false);
        Assert.Equal(text, string.Concat(late.Where(e => e.Kind == "tokens").Select(TextOf)));
        using var done = await SendAsync(client, id, "end");
        Assert.Equal(HttpStatusCode.NoContent, done.StatusCode);

        await using var database = await application.OpenSuperuserAsync();
        var rows = await database.ListAsync("SELECT data FROM aiaspire.job_events WHERE job_id = $1", r => r.GetFieldValue<byte[]>(0), id);
        var chunks = late.Where(e => e.Kind == "tokens").Sum(e => e.Data.GetProperty("chunks").GetArrayLength());
        Assert.True(rows.Count * 5 < chunks, $"{chunks} chunks in {rows.Count} rows: the database is written for each few of them");
        Assert.DoesNotContain(rows, row => Encoding.Latin1.GetString(row).Contains("word", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Another_users_job_cannot_be_followed()
    {
        using var client = application.Developer();
        var id = await client.QueueChatAsync("say exactly: mine");
        using var stranger = application.Client(application.Token("acme", "bob"));
        using var response = await SendAsync(stranger, id, null);
        await response.ErrorAsync(HttpStatusCode.NotFound, "not_found");
    }

    private static Task<HttpResponseMessage> SendAsync(HttpClient client, Guid id, string? last)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, $"/v1/jobs/{id}/events");
        if (last is not null)
            request.Headers.Add("Last-Event-ID", last);
        return client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancelled);
    }

    private static async Task<List<Event>> FollowAsync(HttpClient client, Guid id, string? last, Func<List<Event>, bool> enough)
    {
        using var response = await SendAsync(client, id, last);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        timeout.CancelAfter(TimeSpan.FromSeconds(30));
        await using var body = await response.Content.ReadAsStreamAsync(timeout.Token);
        using var reader = new StreamReader(body);
        var events = new List<Event>();
        var (eventId, kind, data) = ((string?)null, "", "");
        while (await reader.ReadLineAsync(timeout.Token) is { } line)
        {
            if (line.StartsWith("id: ", StringComparison.Ordinal))
                eventId = line[4..];
            else if (line.StartsWith("event: ", StringComparison.Ordinal))
                kind = line[7..];
            else if (line.StartsWith("data: ", StringComparison.Ordinal))
                data += line[6..];
            if (line.Length > 0 || data.Length == 0)
                continue;
            events.Add(new Event(eventId, kind, JsonElement.Parse(data)));
            (eventId, kind, data) = (null, "", "");
            if (enough(events))
                break;
        }

        return events;
    }

    private static string TextOf(Event tokens) => string.Concat(tokens.Data.GetProperty("chunks").EnumerateArray()
        .SelectMany(c => c.GetProperty("choices").EnumerateArray())
        .Select(c => c.GetProperty("delta").TryGetProperty("content", out var content) ? content.GetString() : ""));

    private sealed record Event(string? Id, string Kind, JsonElement Data);
}
