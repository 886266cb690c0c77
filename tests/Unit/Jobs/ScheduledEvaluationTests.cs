using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using AiAspire.Workers.Evaluations;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace AiAspire.Unit.Jobs;

/// <summary>A suite evaluated by the clock, against an Evaluator that says what the test wants.</summary>
public sealed class ScheduledEvaluationTests : IDisposable
{
    private const string Queued = """{"id":"eval_1","state":"queued","suite":"support","model":"sim-small","baseline":"sim-large","repeats":2}""";

    private const string Completed =
        """
        {"id":"eval_1","state":"completed","suite":"support","model":"sim-small","baseline":"sim-large","repeats":2,
         "report":{"candidate_summary":{"judged":50,"passed":31,"errors":1,"cost_usd":0.25},"decision":{"verdict":"block","reasons":["Too few pass."]},"cases":[{"answer":"words"}]}}
        """;

    private static readonly ScheduledEvaluationOptions Options = new() { Suite = "support", Model = "sim-small", Baseline = "sim-large", Repeats = 2, ApiKey = "key", TimeoutMinutes = 1 };

    private readonly FakeTimeProvider _time = new();
    private readonly Stub _evaluator = new();
    private readonly ServiceProvider _services;

    public ScheduledEvaluationTests()
    {
        var services = new ServiceCollection();
        services.AddHttpClient("evaluator").ConfigurePrimaryHttpMessageHandler(() => _evaluator);
        _services = services.BuildServiceProvider();
    }

    public void Dispose()
    {
        _services.Dispose();
        _evaluator.Dispose();
    }

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Its_outcome_has_the_verdict_and_no_answers()
    {
        _evaluator.Answers = [(200, """{"data":[]}"""), (202, Queued), (200, Completed)];
        var running = Run();
        await AdvanceAsync(running, TimeSpan.FromSeconds(30));

        var outcome = await running;

        Assert.Equal(["GET /v1/evaluations", "POST /v1/evaluations", "GET /v1/evaluations/eval_1"], _evaluator.Asked);
        Assert.Equal("""{"suite":"support","model":"sim-small","baseline":"sim-large","repeats":2}""", _evaluator.Body);
        Assert.Equal(("block", 31, 50), (outcome["verdict"]!.GetValue<string>(), outcome["passed"]!.GetValue<int>(), outcome["judged"]!.GetValue<int>()));
        Assert.DoesNotContain("words", outcome.ToJsonString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_run_that_comes_again_takes_up_the_evaluation_that_is_under_way()
    {
        _evaluator.Answers = [(200, $$"""{"data":[{"id":"eval_0","state":"running","suite":"support","model":"other"},{{Queued}}]}"""), (200, Completed)];
        var running = Run();
        await AdvanceAsync(running, TimeSpan.FromSeconds(30));

        Assert.Equal("eval_1", (await running)["evaluation"]!.GetValue<string>());
        Assert.DoesNotContain(_evaluator.Asked, a => a.StartsWith("POST", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Without_a_verdict_it_says_why()
    {
        _evaluator.Answers = [(200, """{"data":[]}"""), (404, """{"error":{"message":"There is no suite 'support'."}}""")];
        Assert.Contains("404: There is no suite 'support'.", (await Assert.ThrowsAsync<EvaluatorException>(Run)).Message, StringComparison.Ordinal);

        _evaluator.Answers = [(200, """{"data":[]}"""), (202, """{"id":"eval_2","state":"failed","suite":"support","model":"sim-small","error":"The queue was full."}""")];
        Assert.Contains("The queue was full.", (await Assert.ThrowsAsync<EvaluatorException>(Run)).Message, StringComparison.Ordinal);

        _evaluator.Answers = [(200, """{"data":[]}"""), (202, Queued), .. Enumerable.Repeat((200, Queued), 100)];
        var endless = Run();
        await AdvanceAsync(endless, TimeSpan.FromSeconds(120));
        Assert.Contains("eval_1 did not end within 1 minutes", (await Assert.ThrowsAsync<EvaluatorException>(() => endless)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void It_is_off_without_a_suite_and_names_what_is_missing_with_one()
    {
        Assert.False(new ScheduledEvaluationOptions().Enabled);
        Assert.Empty(Faults(new ScheduledEvaluationOptions()));
        Assert.Equal(["Model", "ApiKey", "Url"], Faults(new ScheduledEvaluationOptions { Suite = "support", Url = "evaluator" }));
        Assert.Empty(Faults(Options));

        var nowhere = new ConfigurationBuilder().Build();
        Assert.Contains(
            "Evaluations:AllowPlaintext",
            Assert.Throws<ValidationException>(() => new ScheduledEvaluationOptions { Suite = "s", Url = "http://elsewhere.example" }.ThrowIfPlaintext(nowhere)).Message,
            StringComparison.Ordinal);
        new ScheduledEvaluationOptions { Suite = "s", Url = "https://elsewhere.example" }.ThrowIfPlaintext(nowhere);

        static IEnumerable<string> Faults(ScheduledEvaluationOptions options) => options.Validate(new ValidationContext(options)).SelectMany(f => f.MemberNames);
    }

    private Task<JsonObject> Run()
        => new ScheduledEvaluation(new EvaluatorClient(_services.GetRequiredService<IHttpClientFactory>().CreateClient("evaluator"), Options), Options, _time).RunAsync(Cancelled);

    private async Task AdvanceAsync(Task running, TimeSpan by)
    {
        // The stub's answers are there at once, so it waits for nothing but the clock.
        for (var passed = TimeSpan.Zero; passed < by && !running.IsCompleted; passed += TimeSpan.FromSeconds(1))
        {
            // Lets the continuation of the last answer run.
            for (var turn = 0; turn < 20; turn++)
                await Task.Yield();
            _time.Advance(TimeSpan.FromSeconds(1));
        }
    }

    private sealed class Stub : HttpMessageHandler
    {
        private int _at;

        public IReadOnlyList<(int Status, string Body)> Answers
        {
            get;
            set
            {
                field = value;
                _at = 0;
                Asked.Clear();
            }
        } = [];

        public List<string> Asked { get; } = [];

        public string? Body { get; private set; }

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Asked.Add($"{request.Method} {request.RequestUri!.AbsolutePath}");
            if (request.Content is not null)
                Body = await request.Content.ReadAsStringAsync(cancellationToken);
            var (status, body) = Answers[_at++];
            return new HttpResponseMessage((HttpStatusCode)status) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        }
    }
}
