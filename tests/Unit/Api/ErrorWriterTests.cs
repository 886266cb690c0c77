using System.Text;
using System.Text.Json;
using AiAspire.Api.Errors;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging.Abstractions;

namespace AiAspire.Unit.ApiTests;

public sealed class ErrorWriterTests
{
    private static readonly JsonSerializerOptions SnakeCase = new(JsonSerializerDefaults.Web) { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };
    private readonly DefaultHttpContext _http = new() { Response = { Body = new MemoryStream() } };

    public static TheoryData<string, Exception, int> Failures => new()
    {
        { "a refusal with all", new WireException(400, "invalid_request_error", "c", "m", "p"), 400 },
        { "a refusal with nulls", new WireException(404, "invalid_request_error", null, "m"), 404 },
        { "no identity", new IdentityException("invalid_api_key", "m"), 401 },
        { "not allowed", new IdentityException("missing_user", "m", forbidden: true), 403 },
        { "too large", new BadHttpRequestException("m", 413), 413 },
        { "a bad request", new BadHttpRequestException("m"), 400 },
        { "a bug", new InvalidOperationException("the connection string is Host=db"), 500 },
    };

    [Theory]
    [MemberData(nameof(Failures))]
    public async Task Every_error_has_all_four_fields(string what, Exception failure, int status)
    {
        await RunAsync(_ => throw failure);

        var error = Error();
        Assert.Equal(status, _http.Response.StatusCode);
        Assert.Equal("application/json", _http.Response.ContentType);
        Assert.Equal(["message", "type", "param", "code"], error.EnumerateObject().Select(p => p.Name));
        Assert.Equal(JsonValueKind.String, error.GetProperty("message").ValueKind);
        Assert.Equal(JsonValueKind.String, error.GetProperty("type").ValueKind);
        Assert.True(error.GetProperty("param").ValueKind is JsonValueKind.String or JsonValueKind.Null, what);
        Assert.True(error.GetProperty("code").ValueKind is JsonValueKind.String or JsonValueKind.Null, what);
        Assert.Equal(_http.Response.Body.Length, _http.Response.ContentLength);
    }

    [Fact]
    public async Task What_went_wrong_inside_is_not_told()
    {
        await RunAsync(_ => throw new InvalidOperationException("the connection string is Host=db"));

        Assert.DoesNotContain("connection string", Error().GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.Equal("internal_error", Error().GetProperty("code").GetString());
    }

    [Theory]
    [InlineData(404, "not_found")]
    [InlineData(405, null)]
    [InlineData(415, null)]
    public async Task A_status_without_a_body_gets_one(int status, string? code)
    {
        await RunAsync(http =>
        {
            http.Response.StatusCode = status;
            return Task.CompletedTask;
        });

        Assert.Equal(code, Error().GetProperty("code").GetString());
        Assert.Equal(JsonValueKind.Null, Error().GetProperty("param").ValueKind);
    }

    [Theory]
    [InlineData("""{"engaged":true,"reason":7}""", "invalid_type", "reason", "'reason' must be a string.")]
    [InlineData("""{"engaged":true,"until":"tomorrow"}""", "invalid_type", "until", "'until' must be a time as in 2026-11-24T18:00:00Z.")]
    [InlineData("""{"engaged":"yes"}""", "invalid_type", "engaged", "'engaged' must be true or false.")]
    [InlineData("""{"reason":"x"}""", "missing_required_parameter", "engaged", "'engaged' is missing.")]
    [InlineData("""{"engaged":true,"untill":null}""", "unknown_field", "untill", "'untill' is unknown here; the fields are listed at /openapi/v1.json.")]
    [InlineData("""{"engaged":tru""", "invalid_json", null, "The request body is not valid JSON: line 1, byte 15.")]
    [InlineData("""["engaged"]""", "invalid_json", null, "The request body is not valid JSON: line 1, byte 2.")]
    [InlineData("", "invalid_json", null, "The request body is not valid JSON: line 1, byte 1.")]
    public async Task What_cannot_be_read_into_an_endpoints_parameters_is_named_by_its_field(string body, string code, string? param, string message)
    {
        await RunAsync(_ =>
        {
            try
            {
                JsonSerializer.Deserialize<AiAspire.Api.Admin.KillSwitchRequest>(body, SnakeCase);
            }
            catch (JsonException e)
            {
                // As the framework throws it.
                throw new BadHttpRequestException("Failed to read parameter \"KillSwitchRequest request\" from the request body as JSON.", 400, e);
            }

            return Task.CompletedTask;
        });

        Assert.Equal((400, code, param, message), (_http.Response.StatusCode, Error().GetProperty("code").GetString(), Error().GetProperty("param").GetString(), Error().GetProperty("message").GetString()));
    }

    [Fact]
    public async Task A_message_stands_in_the_answer_as_people_read_it()
    {
        await RunAsync(_ => throw new WireException(400, "invalid_request_error", "c", "'größe' must be <text> & \"plain\"."));

        Assert.Contains("'größe' must be <text> & \\\"plain\\\".", Encoding.UTF8.GetString(((MemoryStream)_http.Response.Body).ToArray()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_caller_who_left_is_told_nothing_and_it_is_no_failure()
    {
        _http.RequestAborted = new CancellationToken(canceled: true);

        await RunAsync(_ => throw new OperationCanceledException());

        Assert.Equal(499, _http.Response.StatusCode);
        Assert.Equal(0, _http.Response.Body.Length);
    }

    [Theory]
    [InlineData(0, "1", "1")]
    [InlineData(-5, "1", "1")]
    [InlineData(1, "1", "1")]
    [InlineData(999, "1", "999")]
    [InlineData(1000, "1", "1000")]
    [InlineData(1001, "2", "1001")]
    [InlineData(43_200_000, "43200", "43200000")]
    [Trait("Checklist", "COST-06")]
    public async Task Retry_after_is_whole_seconds_and_never_too_early(int milliseconds, string seconds, string exact)
    {
        await RunAsync(_ => throw new WireException(429, "rate_limit_error", "rate_limit_exceeded", "m") { RetryAfter = TimeSpan.FromMilliseconds(milliseconds), ShouldRetry = false });

        Assert.Equal(429, _http.Response.StatusCode);
        Assert.Equal(seconds, _http.Response.Headers.RetryAfter);
        Assert.Equal(exact, _http.Response.Headers["retry-after-ms"]);
        Assert.Equal("false", _http.Response.Headers["x-should-retry"]);
    }

    [Fact]
    public async Task Without_a_time_there_is_no_header()
    {
        await RunAsync(_ => throw new WireException(400, "t", null, "m"));

        Assert.DoesNotContain(_http.Response.Headers, h => h.Key.Contains("retry", StringComparison.OrdinalIgnoreCase));
    }

    [Theory]
    [InlineData("""{"error":{"message":"theirs","type":"t","param":null,"code":"c"}}""", true)]
    [InlineData("""{"error":{"message":"theirs","type":"t"}}""", false)]
    [InlineData("""{"error":"theirs"}""", false)]
    [InlineData("""["theirs"]""", false)]
    [InlineData("<html>theirs</html>", false)]
    [InlineData("{\"error\":", false)]
    [InlineData("", false)]
    public void A_providers_error_is_passed_on_only_in_the_shape_that_sdks_read(string upstream, bool passed)
    {
        var body = Encoding.UTF8.GetString(ErrorObject.BodyOf(new WireException(400, "t", "ours", "ours") { UpstreamBody = Encoding.UTF8.GetBytes(upstream) }).Span);

        Assert.Equal(passed, body == upstream);
        Assert.Equal(passed, !body.Contains("\"code\":\"ours\"", StringComparison.Ordinal));
    }

    [Fact]
    public async Task An_answer_under_way_is_left_alone()
    {
        _http.Features.Set<IHttpResponseFeature>(new StartedResponse());

        await RunAsync(_ => throw new WireException(429, "t", "c", "m") { RetryAfter = TimeSpan.FromSeconds(1), ShouldRetry = true });

        Assert.Empty(_http.Response.Headers);
        Assert.Equal(200, _http.Response.StatusCode);
    }

    private Task RunAsync(RequestDelegate next) => new ErrorMiddleware(next, NullLogger<ErrorMiddleware>.Instance).InvokeAsync(_http);

    private JsonElement Error() => JsonElement.Parse(((MemoryStream)_http.Response.Body).ToArray()).GetProperty("error");

    private sealed class StartedResponse : HttpResponseFeature
    {
        public override bool HasStarted => true;
    }
}
