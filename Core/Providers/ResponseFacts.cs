using System.Net.Http.Headers;

namespace AiAspire.Core.Providers;

/// <summary>
/// Headers of the last response to a call that went through a company's SDK, which keeps them to itself: a 429 without its
/// <c>Retry-After</c> would be asked again too early.
/// </summary>
internal sealed class ResponseFacts
{
    private static readonly AsyncLocal<ResponseFacts?> Ambient = new();

    private HttpResponseHeaders? _headers;

    /// <summary>Where responses to requests sent from this flow of control are noted; null: nowhere.</summary>
    public static ResponseFacts? Current
    {
        get => Ambient.Value;
        set => Ambient.Value = value;
    }

    /// <summary>OpenAI's <c>x-request-id</c>, Anthropic's <c>request-id</c>.</summary>
    public string? RequestId => Header("x-request-id") ?? Header("request-id");

    public TimeSpan? RetryAfter(TimeProvider time) => _headers is null ? null : ProviderErrors.RetryAfter(_headers, time);

    public void Note(HttpResponseMessage response) => _headers = response.Headers;

    private string? Header(string name) => _headers is not null && _headers.TryGetValues(name, out var values) ? values.FirstOrDefault() : null;
}

internal sealed class ResponseFactsHandler : DelegatingHandler
{
    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        => ResponseFacts.Current is { } facts ? NoteAsync(facts, request, cancellationToken) : base.SendAsync(request, cancellationToken);

    private async Task<HttpResponseMessage> NoteAsync(ResponseFacts facts, HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var response = await base.SendAsync(request, cancellationToken);
        facts.Note(response);
        return response;
    }
}
