using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Batches;

/// <summary>What the tests do with files.</summary>
internal static class FileClient
{
    public static async Task<HttpResponseMessage> SendUploadAsync(
        this HttpClient client, byte[] content, string? key = null, string purpose = "batch", string name = "requests.jsonl", bool chunked = false)
    {
        using var form = new MultipartFormDataContent();
        var file = new ByteArrayContent(content);
        file.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        form.Add(file, "file", name);
        form.Add(new StringContent(purpose), "purpose");
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/files") { Content = form };
        if (key is not null)
            request.Headers.Add("Idempotency-Key", key);
        request.Headers.TransferEncodingChunked = chunked ? true : null;
        return await client.SendAsync(request, TestContext.Current.CancellationToken);
    }

    /// <returns>The file's id.</returns>
    public static async Task<string> UploadAsync(this HttpClient client, byte[] content, string? key = null)
    {
        using var response = await client.SendUploadAsync(content, key);
        Assert.True(response.StatusCode == HttpStatusCode.OK, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        return (await response.JsonAsync()).GetProperty("id").GetString()!;
    }

    public static IEnumerable<string> Ids(this JsonElement page) => page.GetProperty("data").EnumerateArray().Select(e => e.GetProperty("id").GetString()!);
}
