using System.Net;
using System.Net.Http.Json;
using System.Text.Json;

namespace AiAspire.Integration.Application;

/// <summary>The wire as plain HTTP sees it.</summary>
internal static class Wire
{
    public static object Chat(string text, string model = "sim-large", bool stream = false)
        => new { model, stream, messages = new[] { new { role = "user", content = text } } };

    public static Task<HttpResponseMessage> ChatAsync(this HttpClient client, string text, string model = "sim-large")
        => client.PostAsJsonAsync("/v1/chat/completions", Chat(text, model), TestContext.Current.CancellationToken);

    public static async Task<JsonElement> JsonAsync(this HttpResponseMessage response)
        => await response.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);

    public static string Header(this HttpResponseMessage response, string name) => response.Headers.GetValues(name).Single();

    /// <summary>Asserts OpenAI's error shape and returns the error object.</summary>
    public static async Task<JsonElement> ErrorAsync(this HttpResponseMessage response, HttpStatusCode status, string? code = null, string? param = null)
    {
        var text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.True(response.StatusCode == status, $"expected {(int)status}, got {(int)response.StatusCode}: {text}");
        Assert.Equal("application/json", response.Content.Headers.ContentType?.MediaType);
        var error = JsonElement.Parse(text).GetProperty("error");
        Assert.NotEmpty(error.GetProperty("message").GetString()!);
        Assert.NotEmpty(error.GetProperty("type").GetString()!);
        Assert.True(error.TryGetProperty("param", out var actualParam));
        Assert.True(error.TryGetProperty("code", out var actualCode));
        if (code is not null)
            Assert.Equal(code, actualCode.GetString());
        if (param is not null)
            Assert.Equal(param, actualParam.GetString());
        return error;
    }

    public static string Content(this JsonElement completion)
        => completion.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()!;

    /// <summary>The <c>data:</c> payloads of a whole stream.</summary>
    public static async Task<List<string>> EventsAsync(this HttpResponseMessage response)
    {
        var text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        return [.. text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Select(e => e["data: ".Length..])];
    }
}
