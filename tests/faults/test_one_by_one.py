"""Each person is finished while others are still at work, whatever becomes of those."""


def test_killed_after_the_first_of_two(two_people, undisturbed_two, new_app):
    app = new_app(two_people)
    process = app.start()
    line = app.wait_for(process, ' complete ')
    app.wait_for(process, '[')  # somebody else is at work
    app.kill(process)
    first, other = ('sub-01', 'sub-02') if 'sub-01' in line else ('sub-02', 'sub-01')
    assert (app.out / f'{first}.html').is_file()
    assert not (app.out / f'{other}.html').exists()
    assert list(app.out.glob(f'{first}/log/*_done.json'))
    steps = next(app.work.glob('qsmbids_*_wf'))
    assert [path.name for path in steps.glob('sub_*')] == [f'{other.replace("-", "_")}_wf']
    said = app.complete()
    assert f'{first} kept' in ' '.join(said.split())
    assert not any(line.startswith('[') and first in line for line in said.splitlines())
    app.assert_like(undisturbed_two)


def test_a_page_that_cannot_be_written_stops_nobody(two_people, new_app):
    app = new_app(two_people)
    (app.out / 'sub-01.html').mkdir(parents=True)  # in the way of the page
    code, out, err = app.run()
    assert code == 1, out + err
    assert 'Traceback' not in out + err
    said = ' '.join(out.split())
    assert 'sub-02 complete' in said
    assert 'writing the page' in said
    (app.out / 'sub-01.html').rmdir()
    app.complete()
    assert (app.out / 'sub-01.html').is_file()


def test_only_what_is_missing_is_written_again(two_people, new_app):
    app = new_app(two_people)
    app.complete()
    (app.out / 'sub-02.html').unlink()
    said = app.complete()
    assert (app.out / 'sub-02.html').is_file()
    assert not any(line.startswith('[') for line in said.splitlines())
