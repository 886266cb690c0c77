using System.Globalization;
using AiAspire.Bench;
using AiAspire.Bench.Database;

if (args is [YarpPeer.Verb, var upstream])
{
    await YarpPeer.RunAsync(new Uri(upstream));
    return 0;
}

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    stop.Cancel();
};

var time = TimeProvider.System;
if (args is [DatabaseBench.Verb, .. var files] && files.Length <= 1)
{
    await DatabaseBench.RunAsync(files.FirstOrDefault(), time, Say, stop.Token);
    return 0;
}

if (!BenchOptions.TryParse(args, out var options, out var problem))
{
    await Console.Error.WriteLineAsync($"{problem}\n\n{BenchOptions.Usage}");
    return 2;
}

var facts = await MachineFacts.ReadAsync(time, stop.Token);
await using var whole = await WholeApplication.StartAsync(time, Say, stop.Token);
await using var yarp = await YarpPeer.StartAsync(whole.Upstream, stop.Token);
await using var portkey = options.Paths.Contains(ChatPath.Portkey) ? await PortkeyPeer.StartAsync(Say, stop.Token) : null;
if (portkey is null)
    options = options with { Paths = [.. options.Paths.Where(p => p != ChatPath.Portkey)] };
var bench = new BenchRun(options, whole, yarp, portkey, time, Say);
var runs = await bench.RunAsync(stop.Token);
var books = await whole.ReadBooksAsync(stop.Token);

var report = new BenchReport(facts, whole.Database, options, books, bench.Asked, runs);
Console.WriteLine(report.ToMarkdown());
if (options.JsonFile is { } file)
    await report.WriteJsonAsync(file, stop.Token);
return report.IsSound ? 0 : 1;

void Say(string text) => Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{time.GetUtcNow():HH:mm:ss} {text}"));
